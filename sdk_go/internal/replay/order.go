package replay

import (
	"container/heap"
	"sort"
)

// order holds the calls of steps that have ended until it is their turn: recorded results are given to the code in the
// order in which the server recorded them.
type order struct {
	ranks map[string]int // the steps that have ended, each with how many did before it
	due   int            // the least rank whose turn is not over
	over  map[int]bool   // ranks above it whose turn is
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
	return &order{ranks: ranks, over: map[int]bool{}, held: map[int]*Call{}}
}

// isOver tells whether every turn is over.
func (o *order) isOver() bool { return o.due == len(o.ranks) }

// isNextHeld tells whether the one is held whose turn it is: of those before it, none can be asked for any more.
func (o *order) isNextHeld() bool { return len(o.held) > 0 && o.least() == o.due }

// first is, of what is held, that whose turn comes first.
func (o *order) first() *Call { return o.held[o.least()] }

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
	o.over[rank] = true
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
