// The guide's program in our words: a schedule fans out, an event for each user, and each of these writes one e-mail.
//
// `weekly_activity MAILBOX`: an e-mail is a line that is appended to the file MAILBOX.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"

	steplane "github.com/steplane/steplane/sdk_go"
	"github.com/steplane/steplane/sdk_go/step"
)

// User is somebody who gets an e-mail.
type User struct {
	ID    string `json:"id"`
	Email string `json:"email"`
}

// Data is what an event tells.
type Data struct {
	User User `json:"user"`
}

// Week is what a user did.
type Week struct {
	Posts int `json:"posts"`
}

func main() {
	client, err := steplane.NewClient(steplane.ClientOpts{AppID: "signup-flow"})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := loadCron(client); err != nil {
		log.Fatal(err)
	}
	if _, err := loadSendReminder(client); err != nil {
		log.Fatal(err)
	}
	if err := client.Serve(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func loadCron(client steplane.Client) (steplane.ServableFunction, error) {
	return steplane.CreateFunction(
		client,
		steplane.FunctionOpts{
			ID: "weekly-activity-load-users",
		},
		steplane.CronTrigger("0 12 * * 5"),
		func(ctx context.Context, input steplane.Input[any]) (any, error) {
			users, err := step.Run(ctx, "fetch-users", func(ctx context.Context) ([]User, error) {
				return fetchUsers()
			})
			if err != nil {
				return nil, err
			}

			events := make([]steplane.Event, len(users))
			for i, user := range users {
				events[i] = steplane.Event{
					Name: "app/weekly-email-activity.send",
					Data: map[string]interface{}{
						"user": user,
					},
				}
			}
			_, err = step.SendMany(ctx, "send-events", events)
			if err != nil {
				return nil, err
			}

			return map[string]any{
				"count": len(users),
			}, nil
		},
	)
}

func loadSendReminder(client steplane.Client) (steplane.ServableFunction, error) {
	return steplane.CreateFunction(
		client,
		steplane.FunctionOpts{
			ID: "weekly-activity-send-email",
		},
		steplane.EventTrigger("app/weekly-email-activity.send", nil),
		func(ctx context.Context, input steplane.Input[Data]) (any, error) {
			week, err := step.Run(ctx, "load-user-data", func(ctx context.Context) (Week, error) {
				return loadUserData(input.Event.Data.User.ID)
			})
			if err != nil {
				return nil, err
			}

			_, err = step.Run(ctx, "email-user", func(ctx context.Context) (any, error) {
				return nil, sendEmail(input.Event.Data.User, week)
			})
			if err != nil {
				return nil, err
			}

			return nil, nil
		},
	)
}

func fetchUsers() ([]User, error) {
	users := make([]User, 25)
	for i := range users {
		users[i] = User{ID: fmt.Sprintf("u%d", i), Email: fmt.Sprintf("u%d@example.com", i)}
	}
	return users, nil
}

func loadUserData(id string) (Week, error) {
	posts, err := strconv.Atoi(id[1:])
	return Week{Posts: posts}, err
}

func sendEmail(user User, week Week) error {
	mailbox, err := os.OpenFile(os.Args[1], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer mailbox.Close()
	_, err = fmt.Fprintf(mailbox, "%s wrote %d posts\n", user.Email, week.Posts)
	return err
}
