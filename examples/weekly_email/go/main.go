// A weekly activity e-mail for every user: a schedule that fans out.
//
// Every Friday at noon one function fetches all users and sends an event for each; a second one is started by each of these
// events, and writes that user an e-mail in two steps. All of them run side by side, and each is tried again on its own.
//
//	steplane serve    # in one terminal
//	go run .          # in another, in this folder
//	steplane trigger weekly-email-go/weekly-activity-load-users --wait
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	steplane "github.com/steplane/steplane/sdk_go"
	"github.com/steplane/steplane/sdk_go/step"
)

// User is one of those who get an e-mail.
type User struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Language string `json:"language"`
}

// Week is what a user did.
type Week struct {
	Logins int `json:"logins"`
}

// Activity is what the event of a user's e-mail tells.
type Activity struct {
	User User `json:"user"`
}

// Tick is what the schedule tells, or who starts it by hand: they can ask for users of other languages too, by
// '{"languages": ["go", "python"]}'.
type Tick struct {
	Languages []string `json:"languages"`
}

const language = "go"

var names = strings.Fields("Ada Barbara Claude Dora Edsger Frances Grace Hedy Ivan John Katie Leslie")

func main() {
	client, err := steplane.NewClient(steplane.ClientOpts{AppID: "weekly-email-go"})
	if err != nil {
		log.Fatal(err)
	}
	if err := createFunctions(client); err != nil {
		log.Fatal(err)
	}
	if err := client.Serve(context.Background(), steplane.WorkerOpts{Slots: 2}); err != nil {
		log.Fatal(err)
	}
}

func createFunctions(client steplane.Client) error {
	_, err := steplane.CreateFunction(
		client,
		steplane.FunctionOpts{ID: "weekly-activity-load-users"},
		steplane.CronTriggerIn("Europe/Berlin", "0 12 * * 5"),
		loadUsers,
	)
	if err != nil {
		return err
	}
	_, err = steplane.CreateFunction(
		client,
		steplane.FunctionOpts{ID: "weekly-activity-send-email"},
		// The programs in the other languages take the other users.
		steplane.EventTrigger("app/weekly-email-activity.send", steplane.StrPtr("event.data.user.language == '"+language+"'")),
		sendReminder,
	)
	return err
}

// loadUsers fetches all users, and sends an event for each.
func loadUsers(ctx context.Context, input steplane.Input[Tick]) (any, error) {
	languages := input.Event.Data.Languages
	if len(languages) == 0 {
		languages = []string{language}
	}
	users, err := step.Run(ctx, "fetch-users", func(ctx context.Context) ([]User, error) {
		return fetchUsers(ctx, languages)
	})
	if err != nil {
		return nil, err
	}
	events := make([]steplane.Event, len(users))
	for i, user := range users {
		events[i] = steplane.Event{Name: "app/weekly-email-activity.send", Data: Activity{User: user}}
	}
	if _, err := step.SendMany(ctx, "fan-out-weekly-emails", events); err != nil {
		return nil, err
	}
	input.Logger.Info("sent events", "count", len(events))
	return map[string]any{"count": len(users)}, nil
}

// sendReminder writes one user an e-mail.
func sendReminder(ctx context.Context, input steplane.Input[Activity]) (any, error) {
	user := input.Event.Data.User
	week, err := step.Run(ctx, "load-user-data", func(ctx context.Context) (Week, error) {
		return loadUserData(ctx, user.ID)
	})
	if err != nil {
		return nil, err
	}
	return step.Run(ctx, "email-user", func(ctx context.Context) (string, error) {
		return sendEmail(ctx, user, week)
	})
}

// fetchUsers asks the user database. Of these users one after the other likes one of the languages.
func fetchUsers(ctx context.Context, languages []string) ([]User, error) {
	if err := note(ctx, "fetch-users"); err != nil {
		return nil, err
	}
	users := make([]User, len(names))
	for i, name := range names {
		users[i] = User{ID: fmt.Sprintf("u%d", i), Name: name, Language: languages[i%len(languages)]}
	}
	return users, pause(ctx)
}

// loadUserData asks for a user's week.
func loadUserData(ctx context.Context, userID string) (Week, error) {
	if err := note(ctx, "load-user-data"); err != nil {
		return Week{}, err
	}
	number, err := strconv.Atoi(userID[1:])
	if err != nil {
		return Week{}, err
	}
	return Week{Logins: len(userID) + number}, pause(ctx)
}

// sendEmail hands an e-mail to the mail server.
func sendEmail(ctx context.Context, user User, week Week) (string, error) {
	if err := note(ctx, "email-user"); err != nil {
		return "", err
	}
	return fmt.Sprintf("Hello %s, you were here %d times this week.", user.Name, week.Logins), pause(ctx)
}

// pause takes as long as a call to another service.
func pause(ctx context.Context) error {
	select {
	case <-time.After(250 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// note notes that the code of a step begins, if somebody wants to count (the demo does).
func note(ctx context.Context, name string) error {
	path := os.Getenv("WEEKLY_EMAIL_NOTES")
	if path == "" {
		return nil
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	span := strings.Split(steplane.CurrentTraceparent(ctx), "-")[2]
	if _, err := fmt.Fprintf(file, "%s %s %d\n", span, name, time.Now().UnixMicro()); err != nil {
		return err
	}
	return file.Close()
}
