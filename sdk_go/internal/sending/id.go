package sending

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"time"
)

// crockford leaves out letters that look like digits.
var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// newID is an id that no other event has, and that sorts by time: 48 bits of milliseconds, and 80 of chance, as 26 letters.
func newID(now time.Time) string {
	// 26 letters hold 130 bits: the first two are 0, so the text is that of 17 bytes whose first holds no more than 6 bits.
	var id [16]byte
	binary.BigEndian.PutUint64(id[:], uint64(now.UnixMilli())<<16)
	_, _ = rand.Read(id[6:])
	var shifted [17]byte
	for index, each := range id {
		shifted[index] |= each >> 2
		shifted[index+1] = each << 6
	}
	return crockford.EncodeToString(shifted[:])[:26]
}
