package cli

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

const exitCodesHelp = `Exit codes: 0 done, 1 failure, 2 wrong arguments, 3 bad setting, 4 gateway not reached or key
refused, 5 partly done.`

// printHelp shows the examples of a command before its flags, and the exit
// codes at the end.
func printHelp(o kong.HelpOptions, ctx *kong.Context) error {
	path := commandPath(ctx)
	var b strings.Builder
	if ex := examples()[strings.TrimPrefix(strings.TrimPrefix(path, "hongyan"), " ")]; len(ex) > 0 {
		b.WriteString("Examples:\n")
		for _, e := range ex {
			b.WriteString("  " + e + "\n")
		}
		b.WriteString("\n")
	}
	if _, err := fmt.Fprint(ctx.Stdout, b.String()); err != nil {
		return err
	}
	if err := kong.DefaultHelpPrinter(o, ctx); err != nil {
		return err
	}
	_, err := fmt.Fprintln(ctx.Stdout, "\n"+exitCodesHelp)
	return err
}

// commandPath gives "hongyan messages list" without arguments and flags.
func commandPath(ctx *kong.Context) string {
	parts := []string{"hongyan"}
	for _, p := range ctx.Path {
		if p.Command != nil {
			parts = append(parts, p.Command.Name)
		}
	}
	return strings.Join(parts, " ")
}
