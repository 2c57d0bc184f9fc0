// The Go app of a trip: says what a room costs, invoked by the TypeScript app.
//
// `pricing FOLDER`: a step notes in the folder's file `notes` that its code begins. While there is a file `hold-pricing`, the last
// step never ends: whoever made that file kills this process there.
package main

import (
	"context"
	"log"
	"os"
	"path/filepath"

	steplane "github.com/steplane/steplane/sdk_go"
	"github.com/steplane/steplane/sdk_go/step"
)

// room is what a price is asked for.
type room struct {
	Nights int `json:"nights"`
}

// price is the answer.
type price struct {
	Total int `json:"total"`
}

// folder is where notes are, and what holds a step.
var folder = os.Args[1]

func main() {
	client, err := steplane.NewClient(steplane.ClientOpts{AppID: "pricing"})
	if err != nil {
		log.Fatal(err)
	}
	trigger := steplane.EventTrigger("pricing/price.asked", nil)
	_, err = steplane.CreateFunction(client, steplane.FunctionOpts{ID: "price"}, trigger, ask)
	if err != nil {
		log.Fatal(err)
	}
	if err := client.Serve(context.Background()); err != nil {
		log.Fatal(err)
	}
}

// ask is the function: two steps.
func ask(ctx context.Context, input steplane.Input[room]) (any, error) {
	rate, err := step.Run(ctx, "rate", func(context.Context) (int, error) {
		return 80, note("price/rate")
	})
	if err != nil {
		return nil, err
	}
	total, err := step.Run(ctx, "sum", func(context.Context) (int, error) {
		if err := note("price/sum"); err != nil {
			return 0, err
		}
		if _, err := os.Stat(filepath.Join(folder, "hold-pricing")); err == nil {
			select {}
		}
		return rate * input.Event.Data.Nights, nil
	})
	return price{Total: total}, err
}

// note notes that the code of a step begins.
func note(name string) error {
	file, err := os.OpenFile(filepath.Join(folder, "notes"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.WriteString(name + "\n")
	return err
}
