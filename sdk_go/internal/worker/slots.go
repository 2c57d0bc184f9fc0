package worker

// slots tells how many invocations the server may send, by a cumulative credit. Its outbox guards it.
type slots struct {
	count    int
	busy     int
	received uint64
	granted  uint64
}

// reset begins a new stream: credit is counted from its start. What is held occupies its slots.
func (s *slots) reset() {
	s.received, s.granted = 0, 0
}

// credit is what to grant now, or 0 if what the server has left does for now: more is granted once half of the slots' worth
// is used up, so that a busy stream carries few such frames.
func (s *slots) credit() uint64 {
	limit := s.received + uint64(max(s.count-s.busy, 0))
	if limit <= s.granted || s.granted-s.received > uint64(s.count/2) {
		return 0
	}
	s.granted = limit
	return limit
}
