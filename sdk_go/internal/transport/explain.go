package transport

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// explanations say what a text of gRPC means, and what to do about it.
var explanations = []struct {
	pattern       *regexp.Regexp
	cause, remedy string
}{
	{
		regexp.MustCompile(`(?i)connection refused|no route to host|network is unreachable|i/o timeout`),
		"nothing answers at %s",
		"Is the server running, and is the address right? It is set by ClientOpts.Address or STEPLANE_ADDRESS",
	},
	{
		regexp.MustCompile(`(?i)no such host|name resolver error|produced zero addresses|server misbehaving`),
		"the host name of %s is not known",
		"Correct the address: host:port, without http://",
	},
	{
		regexp.MustCompile(`(?i)first record does not look like a TLS handshake`),
		"%s does not speak TLS, but this client does",
		"Leave out ClientOpts.TLS, or give the server a certificate",
	},
	{
		regexp.MustCompile(`(?i)x509:|certificate verify failed`),
		"the certificate of %s can't be trusted",
		"Give its authority by RootCAs of ClientOpts.TLS, and check that the certificate has the host's name",
	},
	{
		regexp.MustCompile(`(?i)certificate required|bad certificate`),
		"%s asks for a client certificate",
		"Give one by Certificates of ClientOpts.TLS",
	},
	{
		regexp.MustCompile(`(?i)HTTP/1\.|error reading server preface: http2|unexpected HTTP status|unexpected content-type|ALPN`),
		"%s answers like a web server, and not with gRPC",
		"Is there a proxy or a web page at this address? It has to let HTTP/2 and gRPC through to the Steplane server",
	},
}

// Explain says what an error means, as far as a program can tell. It has no full stop at its end.
func (t *Target) Explain(err error) string {
	said := status.Convert(err)
	code, text := said.Code(), said.Message()
	for _, each := range explanations {
		if each.pattern.MatchString(text) {
			return fmt.Sprintf(each.cause, t.Address) + ". " + each.remedy
		}
	}
	switch {
	case t.TLS == nil && (strings.Contains(text, "EOF") || strings.Contains(text, "connection reset")):
		return t.Address + " closes the connection as soon as it is made. If it speaks TLS, set ClientOpts.TLS; " +
			"if it is not a Steplane server, correct the address"
	case code == codes.Unimplemented:
		return fmt.Sprintf("%s speaks gRPC, but does not know this call (%s). Is it a Steplane server, and not older than this SDK?",
			t.Address, text)
	case code == codes.DeadlineExceeded:
		return t.Address + " does not answer in time. Is it the right address, and is the server overloaded?"
	case code == codes.Unauthenticated || code == codes.PermissionDenied:
		return fmt.Sprintf("%s refuses access (%s: %s). Check the credentials of this worker", t.Address, codeName(code), text)
	default:
		return fmt.Sprintf("%s answers %s: %s", t.Address, codeName(code), text)
	}
}

// codeName is a status code as the protocol spells it: INVALID_ARGUMENT.
func codeName(of codes.Code) string {
	switch of {
	case codes.Canceled:
		return "CANCELLED"
	case codes.OK:
		return "OK"
	}
	var name strings.Builder
	for index, char := range of.String() {
		if index > 0 && unicode.IsUpper(char) {
			name.WriteByte('_')
		}
		name.WriteRune(unicode.ToUpper(char))
	}
	return name.String()
}
