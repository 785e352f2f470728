// Package cli is the command line of hongyan: it reads arguments and settings,
// calls the gateway's HTTP API through the public client or starts a server,
// and prints. Data goes to standard output, talk to standard error, and the
// exit code says what happened. It holds no rules of its own.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"hongyan/client"
	"hongyan/internal/config"
)

// Exit codes of every command.
const (
	ExitOK      = 0
	ExitFailure = 1 // the gateway, WeCom or the file system said no
	ExitUsage   = 2 // wrong arguments
	ExitConfig  = 3 // a bad setting
	ExitNetwork = 4 // the gateway was not reached, or it refused the key
	ExitPartial = 5 // some of it was done
)

// Stdio is where a command reads and writes.
type Stdio struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
}

// Check is one line of a diagnosis.
type Check struct {
	Name   string `json:"name"`
	Status string `json:"status"` // ok, warn or fail
	What   string `json:"what"`
	Why    string `json:"why,omitempty"`
	Fix    string `json:"fix,omitempty"`
}

// Explanation says what a WeCom errcode means, in one language.
type Explanation struct {
	Code    int    `json:"code"`
	Name    string `json:"name"`
	Class   string `json:"class"`
	Meaning string `json:"meaning"`
	Fault   string `json:"fault"`
	Fix     string `json:"fix"`
}

// Deps are the parts of the product that the commands start. A nil one makes
// its command say that it is not built in.
type Deps struct {
	Serve   func(ctx context.Context, c config.Config, out, err io.Writer) error
	Dev     func(ctx context.Context, c config.Config, fresh bool, out, err io.Writer) error
	Sandbox func(ctx context.Context, c config.Config, out io.Writer) error
	Doctor  func(ctx context.Context, c config.Config) []Check
	Errcode func(code int, zh bool) (Explanation, bool)
}

// Run carries out one command line and returns its exit code. It reads nothing
// from the process: environ has the form of os.Environ.
func Run(ctx context.Context, args, environ []string, stdio Stdio) int {
	return RunWith(ctx, product(), args, environ, stdio)
}

// RunWith is [Run] with parts of the caller's choice.
func RunWith(ctx context.Context, deps Deps, args, environ []string, stdio Stdio) int {
	s := &session{ctx: ctx, deps: deps, environ: environ, in: stdio.In, out: stdio.Out, err: stdio.Err}
	var r root
	s.root = &r
	parser, err := newParser(&r, stdio)
	if err != nil {
		_, _ = fmt.Fprintln(stdio.Err, "hongyan:", err)
		return ExitFailure
	}
	s.model = parser.Model
	code, done := s.parseAndRun(parser, args)
	if done {
		return code
	}
	return ExitOK
}

// exited carries the exit code that the parser asks for after --help.
type exited int

func newParser(r *root, stdio Stdio) (*kong.Kong, error) {
	return kong.New(
		r,
		kong.Name("hongyan"),
		kong.Description("Hongyan (鸿雁) takes messages durably and delivers them to WeCom as fast as WeCom permits."),
		kong.Writers(stdio.Out, stdio.Err),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}),
		kong.Help(printHelp),
		kong.UsageOnError(),
	)
}

var negativeNumber = regexp.MustCompile(`^-[0-9]+$`)

// negative lets an errcode be below zero, as WeCom's -1 is: the parser would
// take it for a flag.
func negative(args []string) []string {
	i := slices.IndexFunc(args, negativeNumber.MatchString)
	if i < 1 || slices.Contains(args[:i], "--") {
		return args
	}
	rest := slices.Concat(args[:i], args[i+1:])
	switch {
	case args[i-1] == "--errcode":
		rest = slices.Clone(args)
		return slices.Replace(rest, i-1, i+1, "--errcode="+args[i])
	case slices.Contains(args[:i], "errcode") && !slices.Contains(rest, "--"):
		return append(rest, "--", args[i])
	default:
		return args
	}
}

func (s *session) parseAndRun(parser *kong.Kong, args []string) (code int, done bool) {
	defer func() {
		if p := recover(); p != nil {
			e, ok := p.(exited)
			if !ok {
				panic(p)
			}
			code, done = int(e), true
		}
	}()
	if len(args) == 0 {
		args = []string{"--help"}
	}
	kctx, err := parser.Parse(negative(args))
	if err != nil {
		s.sayf("hongyan: %v", err)
		if pe, ok := errors.AsType[*kong.ParseError](err); ok && pe.Context != nil {
			s.sayf("Try: %s --help", commandPath(pe.Context))
		}
		return ExitUsage, true
	}
	if err := kctx.Run(s); err != nil {
		return s.report(err), true
	}
	return ExitOK, true
}

// report prints an error as a person needs it and gives the exit code.
func (s *session) report(err error) int {
	if x, ok := errors.AsType[exitError](err); ok {
		if x.cause != nil {
			s.sayf("hongyan: %s", s.text(x.cause))
		}
		return x.code
	}
	if _, ok := errors.AsType[*config.Error](err); ok {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			s.sayf("hongyan: %s", line)
		}
		return ExitConfig
	}
	if e, ok := errors.AsType[*client.Error](err); ok {
		s.problem(e)
		if e.Status == 401 || e.Status == 403 {
			return ExitNetwork
		}
		return ExitFailure
	}
	s.sayf("hongyan: %s", s.text(err))
	if _, ok := errors.AsType[*client.TransportError](err); ok {
		s.sayf("Is the gateway running there? Set HONGYAN_URL or --url to its address.")
		return ExitNetwork
	}
	return ExitFailure
}

// problem prints a refusal of the gateway with its fields and fixes.
func (s *session) problem(e *client.Error) {
	s.sayf("hongyan: %s", clean(firstOf(e.Title, e.Code)))
	if e.Detail != "" && e.Detail != e.Title {
		s.sayf("  %s", clean(e.Detail))
	}
	for _, f := range e.Fields {
		line := f.Pointer + f.Parameter + f.Header + ": " + firstOf(f.Message, f.Code)
		if f.Fix != "" {
			line += " → " + f.Fix
		}
		s.sayf("  %s", clean(line))
	}
	if e.Fix != "" && len(e.Fields) == 0 {
		s.sayf("  → %s", clean(e.Fix))
	}
	s.sayf("  status %d, code %s, request %s", e.Status, clean(firstOf(e.Code, "-")), clean(firstOf(e.RequestID, "-")))
	if e.Status == 401 {
		s.sayf("Set HONGYAN_KEY, HONGYAN_KEY_FILE or --key-file to an API key.")
	}
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
