package replay

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/steplane/steplane/sdk_go/internal/fault"
)

const (
	stepKeyBytesMax  = 256
	stepIDBytesMax   = stepKeyBytesMax - len("#9999")
	shownIDRunesMax  = 64
	firstPrintable   = 0x20
	firstC1, afterC1 = 0x7f, 0xa0
)

// StepKey is what identifies a step inside its run: its id, "#", and how often that id was used before.
func StepKey(stepID string, occurrence int) (string, error) {
	if problem := stepIDProblem(stepID); problem != "" {
		return "", fault.StepIDf("step id %s %s", fault.Quote(shown(stepID)), problem)
	}
	return stepID + "#" + strconv.Itoa(occurrence), nil
}

// StepID is the id in a step key.
func StepID(key string) string {
	if end := strings.LastIndexByte(key, '#'); end >= 0 {
		return key[:end]
	}
	return ""
}

// shown is as much of an id as an error's text has.
func shown(stepID string) string {
	count := 0
	for offset := range stepID {
		if count == shownIDRunesMax {
			return stepID[:offset]
		}
		count++
	}
	return stepID
}

func stepIDProblem(stepID string) string {
	if stepID == "" {
		return "is empty"
	}
	if !utf8.ValidString(stepID) {
		return "is not valid Unicode"
	}
	if len(stepID) > stepIDBytesMax {
		return fmt.Sprintf("has %d bytes; %d are the most", len(stepID), stepIDBytesMax)
	}
	for _, char := range stepID {
		if char < firstPrintable || char >= firstC1 && char < afterC1 {
			return "has control characters"
		}
	}
	return ""
}

// RunSpanID is the span of a run.
func RunSpanID(runID string) string {
	return spanID(runID)
}

// StepSpanID is the span of a step.
func StepSpanID(runID, key string) string {
	return spanID(runID + "/" + key)
}

// ChildTraceparent is parent with another span: the trace id and the flags stay. It is empty if there is no parent.
func ChildTraceparent(parent, spanID string) string {
	const traceEnd, flagsStart, size = 35, 53, 55
	if len(parent) < size {
		return ""
	}
	return "00-" + parent[3:traceEnd] + "-" + spanID + "-" + parent[flagsStart:size]
}

func spanID(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}
