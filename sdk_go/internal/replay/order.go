package replay

import (
	"container/heap"
	"sort"
)

// order holds the calls of steps that have ended until it is their turn: recorded results are given to the code in the
// order in which the server recorded them.
type order struct {
	ranks map[string]int // the steps that have ended, each with how many did before it
	left  int            // how many of them the code does not have yet
	due   int            // the least rank that is waited for
	over  map[int]bool   // ranks above it that are not: the code has them
	held  map[int]*Call
	heap  rankHeap // the ranks of what is held, and of what was let go before its turn
}

// newOrder makes the order of a journal. Steps of the same moment are in the journal's.
func newOrder(journal []Entry) *order {
	var ended []*Entry
	for index := range journal {
		if journal[index].isOver() {
			ended = append(ended, &journal[index])
		}
	}
	sort.SliceStable(ended, func(i, j int) bool { return ended[i].EndedAt < ended[j].EndedAt })
	ranks := make(map[string]int, len(ended))
	for rank, entry := range ended {
		ranks[entry.StepKey] = rank
	}
	return &order{ranks: ranks, left: len(ranks), over: map[int]bool{}, held: map[int]*Call{}}
}

// isEarlierUnasked tells whether a result would come before all that are held, and is not asked for yet.
func (o *order) isEarlierUnasked() bool {
	if len(o.held) > 0 {
		return o.due < o.least()
	}
	return o.due < len(o.ranks)
}

// first is, of what is held, that whose turn comes first. What would have come before it is waited for no longer.
func (o *order) first() *Call {
	rank := o.least()
	o.pass(rank)
	return o.held[rank]
}

// pass waits no longer for what comes before a rank.
func (o *order) pass(rank int) {
	o.due = max(o.due, rank)
	o.passOver()
}

// hold holds a call, if its step has ended, and tells whether it has.
func (o *order) hold(stepKey string, call *Call) bool {
	rank, isRanked := o.ranks[stepKey]
	if isRanked {
		o.held[rank] = call
		heap.Push(&o.heap, rank)
	}
	return isRanked
}

// letGo ends the turn of a step.
func (o *order) letGo(stepKey string) {
	rank := o.ranks[stepKey]
	delete(o.held, rank)
	o.left--
	if rank >= o.due {
		o.over[rank] = true
		o.passOver()
	}
}

func (o *order) passOver() {
	for o.over[o.due] {
		delete(o.over, o.due)
		o.due++
	}
}

func (o *order) least() int {
	for {
		if _, isHeld := o.held[o.heap[0]]; isHeld {
			return o.heap[0]
		}
		heap.Pop(&o.heap)
	}
}

type rankHeap []int

func (h rankHeap) Len() int           { return len(h) }
func (h rankHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h rankHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *rankHeap) Push(rank any)     { *h = append(*h, rank.(int)) }
func (h *rankHeap) Pop() any {
	last := len(*h) - 1
	rank := (*h)[last]
	*h = (*h)[:last]
	return rank
}
