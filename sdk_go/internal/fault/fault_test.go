package fault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

type cardDeclined struct{}

func (cardDeclined) Error() string { return "no" }

type generic[T any] struct{}

func (*generic[T]) Error() string { return "generic" }

type named struct{}

func (named) Error() string     { return "named" }
func (named) ErrorName() string { return "Named" }

func TestAnErrorIsReportedByTheNameOfItsType(t *testing.T) {
	for _, each := range []struct {
		err      error
		expected string
	}{
		{errors.New("plain"), "Error"},
		{fmt.Errorf("wrapped: %w", errors.New("plain")), "Error"},
		{cardDeclined{}, "cardDeclined"},
		{&cardDeclined{}, "cardDeclined"},
		{fmt.Errorf("wrapped: %w", cardDeclined{}), "cardDeclined"},
		{errors.Join(errors.New("plain"), cardDeclined{}), "cardDeclined"},
		{&generic[int]{}, "generic"},
		{&fs.PathError{Op: "open", Err: fs.ErrNotExist}, "PathError"},
		{named{}, "Named"},
		{&NonRetriableError{Message: "no"}, "NonRetriableError"},
		{&NonRetriableError{Err: errors.New("plain")}, "NonRetriableError"},
		{&NonRetriableError{Err: cardDeclined{}}, "cardDeclined"},
		{&RetryAfterError{}, "RetryAfterError"},
		{&RetryAfterError{Err: cardDeclined{}}, "cardDeclined"},
		{&StepError{Name: "CardDeclined"}, "CardDeclined"},
		{&StepError{}, "StepError"},
		{&PanicError{Value: "oh"}, "Panic"},
		{&PanicError{Value: cardDeclined{}}, "cardDeclined"},
		{&PanicError{Value: nilPointer()}, "Panic"},
		{StepIDf("no"), "StepIdError"},
		{Argumentf("no"), "ArgumentError"},
		{NestedStepf("no"), "NestedStepError"},
		{NonDeterminismf("no"), "NonDeterminismError"},
		{NotSerializablef("no"), "NotSerializableError"},
		{TooLargef("no"), "TooLargeError"},
		{Rejectedf("no"), "RejectedError"},
		{context.DeadlineExceeded, "deadlineExceededError"},
	} {
		if found := NameOf(each.err); found != each.expected {
			t.Errorf("%T (%v) is %s, not %s", each.err, each.err, found, each.expected)
		}
	}
}

// nilPointer is what the language itself panics with.
func nilPointer() (raised any) {
	defer func() { raised = recover() }()
	var nothing *StepError
	return nothing.Name
}

func TestWhatAnErrorSaysAboutTryingAgain(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, each := range []struct {
		err      error
		expected string
	}{
		{errors.New("plain"), "<nil>"},
		{&NonRetriableError{}, "never:true"},
		{fmt.Errorf("wrapped: %w", &NonRetriableError{}), "never:true"},
		{&StepError{}, "never:true"},
		{TooLargef("no"), "never:true"},
		{&RetryAfterError{After: 90 * time.Second}, "after:{seconds:90}"},
		{fmt.Errorf("wrapped: %w", &RetryAfterError{At: time.Unix(1005, 0)}), "after:{seconds:5}"},
		{&RetryAfterError{At: time.Unix(1, 0)}, "after:{}"},
		{&RetryAfterError{}, "after:{}"},
		{&PanicError{Value: &NonRetriableError{}}, "never:true"},
	} {
		found := strings.ReplaceAll(fmt.Sprint(Directive(each.err, now)), "  ", " ")
		if strings.ReplaceAll(found, " ", "") != strings.ReplaceAll(each.expected, " ", "") {
			t.Errorf("%T says %s, not %s", each.err, found, each.expected)
		}
	}
}

type broken struct{}

func (broken) Error() string { panic("no text") }

func TestTheTextOfAFailure(t *testing.T) {
	step := &StepError{Name: "CardDeclined", Message: "no", Stack: "there", StepID: "charge", StepKey: "charge#0"}
	for _, each := range []struct {
		err                     error
		message, stack, stepKey string
	}{
		{errors.New("plain"), "plain", "", ""},
		{&NonRetriableError{}, "not to be tried again", "", ""},
		{&NonRetriableError{Message: "why"}, "why", "", ""},
		{&NonRetriableError{Message: "why", Err: cardDeclined{}}, "why: no", "", ""},
		{&RetryAfterError{Err: cardDeclined{}}, "no", "", ""},
		{step, "no", "there", "charge#0"},
		{fmt.Errorf("wrapped: %w", step), "wrapped: step 'charge' failed: CardDeclined: no", "there", "charge#0"},
		{&PanicError{Value: "oh", Stack: "here"}, "panic: oh", "here", ""},
		{errors.New("\xff"), "\uFFFD", "", ""},
		{broken{}, "<its text can't be had: no text>", "", ""},
	} {
		found := Failure(each.err, "")
		if found.GetMessage() != each.message || found.GetStack() != each.stack || found.GetStepKey() != each.stepKey {
			t.Errorf("%T is %v", each.err, found)
		}
	}
}

func TestLongTextsAreCutInTheMiddle(t *testing.T) {
	found := Failure(errors.New("begin "+strings.Repeat("é", textBytesMax)+" end"), "").GetMessage()
	if len(found) > textBytesMax+64 || !utf8.ValidString(found) || !strings.HasPrefix(found, "begin é") ||
		!strings.HasSuffix(found, "é end") || !strings.Contains(found, " bytes cut …") {
		t.Errorf("it has %d bytes: %.20s … %s", len(found), found, found[len(found)-20:])
	}
}

func TestQuotedTextsAreTheSameAsInPython(t *testing.T) {
	for text, expected := range map[string]string{
		"a": "'a'", "": "''", "it's": `"it's"`, `it's "it"`: `'it\'s "it"'`, "a\\b": `'a\\b'`, "a\tb\r\n": `'a\tb\r\n'`,
		"\x00\x7f": `'\x00\x7f'`, "\u0080\u200b": `'\x80\u200b'`, "é☃𝄞": "'é☃𝄞'", "\U000e0001": `'\U000e0001'`, "a\xff": `'a\xff'`,
		"\uFFFD": "'\uFFFD'",
	} {
		if found := Quote(text); found != expected {
			t.Errorf("%q is %s, not %s", text, found, expected)
		}
	}
}

func TestARequestErrorTellsEachField(t *testing.T) {
	cause := errors.New("cause")
	err := &SendError{RequestError{Message: "refused", Violations: []FieldViolation{{"a.b", "is wrong"}, {"c", "too"}}, Err: cause}}
	if err.Error() != "refused\n  a.b: is wrong\n  c: too" || !errors.Is(err, cause) {
		t.Error(err)
	}
}
