package app_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
	"hongyan/wecom"
)

// pipes is a network in a bubble: the product's own HTTP client and a real
// HTTP server, with pipes for wires. Faults of the wire are its own, faults of
// WeCom the sandbox's.
type pipes struct {
	t      *testing.T
	srv    *http.Server
	arrive chan net.Conn
	done   chan struct{}

	mu      sync.Mutex
	clients []*http.Client
	fault   func(ctx context.Context) error // of dialling; nil: it works
	cut     bool                            // the other end closes before it has read
	tls     bool                            // the other end speaks TLS with a certificate that nobody knows
	dials   int
}

// usePipes replaces the bubble's wire. It must be called before a node starts.
func (b *bubble) usePipes() *pipes {
	b.t.Helper()
	p := &pipes{t: b.t, arrive: make(chan net.Conn), done: make(chan struct{})}
	p.srv = &http.Server{Handler: b.wecom, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute}
	go func() { _ = p.srv.Serve(p) }()
	b.pipes = p
	return p
}

// newPipedBubble is a bubble on pipes with an app and a node.
func newPipedBubble(t *testing.T, opt sandbox.Options) (*bubble, *node) {
	t.Helper()
	if opt.CallerIP == "" {
		opt.CallerIP = "203.0.113.7"
	}
	b := newBubble(t, opt)
	b.usePipes()
	n := b.start("n1")
	n.app(t, "ops", nil)
	return b, n
}

func (p *pipes) close() {
	p.hangUp()
	_ = p.srv.Close()
}

// hangUp closes the connections that stand and are not in use.
func (p *pipes) hangUp() {
	p.mu.Lock()
	clients := slices.Clone(p.clients)
	p.mu.Unlock()
	for _, c := range clients {
		c.CloseIdleConnections()
	}
}

// Accept is part of net.Listener.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.arrive:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// Close is part of net.Listener.
func (p *pipes) Close() error {
	select {
	case <-p.done:
	default:
		close(p.done)
	}
	return nil
}

// Addr is part of net.Listener.
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// set changes the faults of the wire. Connections that stand are closed first.
func (p *pipes) set(change func()) {
	p.hangUp()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.cut, p.tls = nil, false, false
	if change != nil {
		change()
	}
}

func (p *pipes) client() (*http.Client, error) {
	c, err := wecom.NewHTTPClient(wecom.TransportOptions{})
	if err != nil {
		return nil, err
	}
	c.Transport.(*http.Transport).DialContext = p.dial
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clients = append(p.clients, c)
	return c, nil
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	p.mu.Lock()
	fault, cut, secure := p.fault, p.cut, p.tls
	p.dials++
	p.mu.Unlock()
	if fault != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: fault(ctx)}
	}
	near, far := net.Pipe()
	if cut {
		return near, far.Close()
	}
	if secure {
		far = tls.Server(far, unknownCertificate(p.t))
	}
	select {
	case p.arrive <- far:
		return near, nil
	case <-p.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// unknownCertificate is one that its holder has signed.
func unknownCertificate(t *testing.T) *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"wecom.bubble"}, NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{raw}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
}

func refused(context.Context) error { return syscall.ECONNREFUSED }

func unknownHost(context.Context) error {
	return &net.DNSError{Err: "no such host", Name: "wecom.bubble", IsNotFound: true}
}

// unanswered is a dial that nobody answers within the connect timeout.
func unanswered(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(3 * time.Second):
		return &net.DNSError{Err: "i/o timeout", IsTimeout: true}
	}
}
