package steplane

import (
	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
)

// Trigger says what starts a function: [EventTrigger], [CronTrigger], or several of these as [Triggers]. A function can always
// be invoked, and started by hand, too.
type Trigger interface {
	triggers() []*pb.Trigger
}

// EventTrigger starts a run for each event of a name; a "*" at its end matches any rest, as in "app/user.*". The expression, if it
// is not nil, is a CEL expression over event that has to be true, for example "event.data.total > 100": see [StrPtr].
func EventTrigger(name string, expression *string) Trigger {
	event := &pb.EventTrigger{Event: name}
	if expression != nil {
		event.Expression = *expression
	}
	return trigger{&pb.Trigger{Kind: &pb.Trigger_Event{Event: event}}}
}

// CronTrigger starts a run at each tick of a schedule: minute, hour, day of month, month, day of week, as in "0 12 * * 5", in
// UTC.
func CronTrigger(cron string) Trigger { return CronTriggerIn("", cron) }

// CronTriggerIn is a [CronTrigger] whose schedule is read in a time zone, for example "Europe/Berlin".
func CronTriggerIn(timeZone, cron string) Trigger {
	return trigger{&pb.Trigger{Kind: &pb.Trigger_Cron{Cron: &pb.CronTrigger{Cron: cron, TimeZone: timeZone}}}}
}

// Triggers are several triggers of one function: up to 10.
func Triggers(each ...Trigger) Trigger {
	var all trigger
	for _, one := range each {
		all = append(all, one.triggers()...)
	}
	return all
}

// StrPtr is a pointer to a text, for the expression of [EventTrigger].
func StrPtr(text string) *string { return &text }

// IntPtr is a pointer to a number, for Retries of [FunctionOpts].
func IntPtr(number int) *int { return &number }

type trigger []*pb.Trigger

func (t trigger) triggers() []*pb.Trigger { return t }
