package fault

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
)

const textBytesMax = 16 * 1024

// anonymous is the name of errors whose type says nothing.
const anonymous = "Error"

// anonymousTypes are the packages of such types: those of errors.New, fmt.Errorf, and of panics that the language itself raises.
var anonymousTypes = []string{"errors", "fmt", "runtime"}

// Failure is an error for the wire. One that a step failed with keeps that step's name and stack.
func Failure(err error, stepKey string) *pb.Failure {
	failure := &pb.Failure{Name: NameOf(err), Message: cut(Text(err)), StepKey: stepKey}
	var stepError *StepError
	if errors.As(err, &stepError) {
		failure.Stack = cut(stepError.Stack)
		if stepKey == "" {
			failure.StepKey = stepError.StepKey
		}
	}
	var panicked *PanicError
	if errors.As(err, &panicked) {
		failure.Stack = cut(panicked.Stack)
	}
	return failure
}

// Directive is what an error says about trying again; nil leaves it to the retry policy.
func Directive(err error, now time.Time) *pb.RetryDirective {
	var final interface{ isFinal() }
	if errors.As(err, &final) {
		return &pb.RetryDirective{Directive: &pb.RetryDirective_Never{Never: true}}
	}
	var again *RetryAfterError
	if errors.As(err, &again) {
		after := durationpb.New(again.Wait(now))
		return &pb.RetryDirective{Directive: &pb.RetryDirective_After{After: after}}
	}
	return nil
}

// Text is what an error says; of a step's own error, what that step's code said.
func Text(err error) (text string) {
	defer func() {
		// An error whose text can't be had must not hide that it happened.
		if broken := recover(); broken != nil {
			text = fmt.Sprintf("<its text can't be had: %v>", broken)
		}
	}()
	if stepError, is := err.(*StepError); is { // one that is wrapped has more to say
		return stepError.Message
	}
	return err.Error()
}

// NameOf is the name that an error is reported by: what its ErrorName method says, else the name of its type. Of an error
// that wraps others it is that of the first that has one.
func NameOf(err error) string {
	if name := nameOf(err); name != "" {
		return name
	}
	return anonymous
}

func nameOf(err error) string {
	if err == nil {
		return ""
	}
	switch known := err.(type) { // each of the chain in its turn
	case interface{ ErrorName() string }:
		return known.ErrorName()
	case *StepError:
		if known.Name != "" {
			return known.Name
		}
		return "StepError"
	case *NonRetriableError:
		return either(nameOf(known.Err), "NonRetriableError")
	case *RetryAfterError:
		return either(nameOf(known.Err), "RetryAfterError")
	case *PanicError:
		return either(nameOf(known.Unwrap()), "Panic")
	}
	kind := reflect.TypeOf(err)
	for kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	if !slices.Contains(anonymousTypes, kind.PkgPath()) && kind.Name() != "" {
		name, _, _ := strings.Cut(kind.Name(), "[")
		return name
	}
	switch wrapper := err.(type) {
	case interface{ Unwrap() error }:
		return nameOf(wrapper.Unwrap())
	case interface{ Unwrap() []error }:
		for _, each := range wrapper.Unwrap() {
			if name := nameOf(each); name != "" {
				return name
			}
		}
	}
	return ""
}

func either(name, otherwise string) string {
	if name != "" {
		return name
	}
	return otherwise
}

func cut(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= textBytesMax {
		return text
	}
	head, tail := textBytesMax/2, len(text)-textBytesMax/2
	for !utf8.RuneStart(text[head]) {
		head--
	}
	for !utf8.RuneStart(text[tail]) {
		tail++
	}
	return fmt.Sprintf("%s\n… %d bytes cut …\n%s", text[:head], tail-head, text[tail:])
}
