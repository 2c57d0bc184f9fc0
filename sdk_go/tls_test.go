package steplane_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	steplane "github.com/steplane/steplane/sdk_go"
)

// certify makes a certificate for this machine, which is its own authority: its file, its key's, and who trusts it.
func certify(t *testing.T) (certificate, key string, trusting *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	certificate, key = filepath.Join(folder, "certificate.pem"), filepath.Join(folder, "key.pem")
	for path, block := range map[string]*pem.Block{
		certificate: {Type: "CERTIFICATE", Bytes: signed}, key: {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trusting = x509.NewCertPool()
	trusting.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}))
	return certificate, key, trusting
}

func TestTLS(t *testing.T) {
	certificate, key, trusting := certify(t)
	secure, plain := openHouse(t, "--tls-cert", certificate, "--tls-key", key), sharedHouse(t)
	for name, each := range map[string]struct {
		house  *house
		config *tls.Config
		says   string
	}{
		"with the authority": {secure, &tls.Config{RootCAs: trusting}, ""},
		"without it":         {secure, &tls.Config{}, "the certificate of " + secure.address + " can't be trusted"},
		"without TLS":        {secure, nil, secure.address + " closes the connection as soon as it is made"},
		"a plain server":     {plain, &tls.Config{RootCAs: trusting}, plain.address + " does not speak TLS, but this client does"},
	} {
		client, err := steplane.NewClient(steplane.ClientOpts{AppID: "tls", Address: each.house.address, TLS: each.config, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_, err = client.Send(ctx, steplane.Event{Name: "tls/a"})
		cancel()
		if (err == nil) != (each.says == "") || err != nil && !strings.Contains(err.Error(), each.says) {
			t.Errorf("%s: %v", name, err)
		}
		_ = client.Close()
	}
}
