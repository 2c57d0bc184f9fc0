package replay

import "testing"

func TestWhatIsNotAskedForIsWaitedForOnce(t *testing.T) {
	entry := func(key string, endedAt int64) Entry {
		return Entry{StepKey: key, Kind: Run, State: Completed, EndedAt: endedAt}
	}
	machine := NewMachine(MachineOpts{
		Journal: []Entry{entry("a#0", 1), entry("gone#0", 2), entry("b#0", 3), entry("c#0", 4)}, InOrder: true,
	})
	begin := func(id string) *Call {
		call, err := machine.Begin(id, Run)
		if err != nil {
			t.Fatal(err)
		}
		return call
	}
	begin("b")
	if !machine.IsEarlierUnasked() {
		t.Error("a may be asked for")
	}
	a := begin("a")
	if machine.IsEarlierUnasked() {
		t.Error("nothing comes before a")
	}
	if machine.Deliver() != a || !machine.IsEarlierUnasked() {
		t.Error("what is gone may be asked for")
	}
	machine.Deliver() // since it was not
	begin("c")
	if machine.IsEarlierUnasked() {
		t.Error("what is gone is waited for twice")
	}
	late := begin("gone") // it was only slow
	if machine.IsEarlierUnasked() || machine.Deliver() != late || machine.Deliver().Key != "c#0" || machine.HasHeld() {
		t.Error("what comes late is not given before the rest")
	}
}

func TestWithALiveResultAllThatIsNotAskedForIsGivenUp(t *testing.T) {
	machine := NewMachine(MachineOpts{Journal: []Entry{{StepKey: "a#0", Kind: Run, State: Completed, EndedAt: 1}}, InOrder: true})
	if !machine.IsEarlierUnasked() {
		t.Error("a may be asked for")
	}
	machine.GoOn()
	if machine.IsEarlierUnasked() {
		t.Error("a is waited for yet")
	}
}
