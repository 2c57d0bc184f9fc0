package fault

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Quote puts a text in single quotes, with escapes for what can't be seen: error texts are the same in every SDK.
func Quote(text string) string {
	quote := '\''
	if strings.ContainsRune(text, '\'') && !strings.ContainsRune(text, '"') {
		quote = '"'
	}
	var out strings.Builder
	out.WriteRune(quote)
	for offset := 0; offset < len(text); {
		char, size := utf8.DecodeRuneInString(text[offset:])
		if char == utf8.RuneError && size == 1 {
			fmt.Fprintf(&out, `\x%02x`, text[offset])
		} else {
			writeEscaped(&out, char, quote)
		}
		offset += size
	}
	out.WriteRune(quote)
	return out.String()
}

func writeEscaped(out *strings.Builder, char, quote rune) {
	switch {
	case char == quote || char == '\\':
		out.WriteRune('\\')
		out.WriteRune(char)
	case char == '\n':
		out.WriteString(`\n`)
	case char == '\r':
		out.WriteString(`\r`)
	case char == '\t':
		out.WriteString(`\t`)
	case unicode.IsPrint(char):
		out.WriteRune(char)
	case char <= 0xff:
		fmt.Fprintf(out, `\x%02x`, char)
	case char <= 0xffff:
		fmt.Fprintf(out, `\u%04x`, char)
	default:
		fmt.Fprintf(out, `\U%08x`, char)
	}
}
