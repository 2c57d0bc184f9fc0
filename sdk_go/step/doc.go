// Package step has the steps of a function: what happens once, and is remembered.
//
// Each takes the context that the function, or the branch of a group, was given, and an id. The id, with how many times it was used
// before in the same call of the function, identifies what is recorded, so it has to be the same whenever the function is called
// again. It has 1 to 251 bytes, and no control characters.
//
// A step that failed for good gives a [steplane.StepError], one that the server refuses a [steplane.RejectedError], one whose
// context ends the context's error. A mistake gives a [steplane.ArgumentError], [steplane.StepIDError],
// [steplane.NestedStepError], [steplane.NonDeterminismError], [steplane.NotSerializableError] or [steplane.TooLargeError], none of
// which is tried again.
package step
