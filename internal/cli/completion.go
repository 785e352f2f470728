package cli

import (
	"fmt"
	"sort"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Run prints a script made from the grammar itself.
func (c *completionCmd) Run(s *session) error {
	table := words(s.model)
	switch c.Shell {
	case "fish":
		return s.printf("%s", fish(table))
	case "zsh":
		return s.printf("#compdef hongyan\nautoload -U +X bashcompinit && bashcompinit\n%s", bash(table))
	default:
		return s.printf("%s", bash(table))
	}
}

// candidates are the words that may follow one command.
type candidates struct {
	path  string // "messages list"; empty for the root
	subs  []string
	flags []string
}

func words(model *kong.Application) []candidates {
	var out []candidates
	var walk func(n *kong.Node, path []string, inherited []string)
	walk = func(n *kong.Node, path []string, inherited []string) {
		c := candidates{path: strings.Join(path, " ")}
		flags := append([]string{}, inherited...)
		for _, f := range n.Flags {
			if !f.Hidden {
				flags = append(flags, "--"+f.Name)
			}
		}
		c.flags = flags
		for _, child := range n.Children {
			if !child.Hidden {
				c.subs = append(c.subs, child.Name)
			}
		}
		if c.path == "completion" {
			c.subs = append(c.subs, "bash", "zsh", "fish")
		}
		sort.Strings(c.flags)
		out = append(out, c)
		for _, child := range n.Children {
			walk(child, append(path[:len(path):len(path)], child.Name), flags)
		}
	}
	walk(model.Node, nil, nil)
	return out
}

func bash(table []candidates) string {
	var b strings.Builder
	b.WriteString(`_hongyan() {
  local cur path="" w
  cur="${COMP_WORDS[COMP_CWORD]}"
  for w in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$w" in -*) continue ;; esac
    case "$path $w" in
`)
	var paths []string
	for _, c := range table {
		if c.path != "" {
			paths = append(paths, `" `+c.path+`"`)
		}
	}
	fmt.Fprintf(&b, "      %s) path=\"$path $w\" ;;\n    esac\n  done\n  case \"$path\" in\n", strings.Join(paths, "|"))
	for _, c := range table {
		path := ""
		if c.path != "" {
			path = " " + c.path
		}
		fmt.Fprintf(&b, "    %q) case \"$cur\" in -*) w=%q ;; *) w=%q ;; esac ;;\n", path, strings.Join(c.flags, " "), strings.Join(c.subs, " "))
	}
	b.WriteString(`  esac
  COMPREPLY=($(compgen -W "$w" -- "$cur"))
}
complete -o default -F _hongyan hongyan
`)
	return b.String()
}

func fish(table []candidates) string {
	var b strings.Builder
	b.WriteString("complete -c hongyan -f\n")
	for _, c := range table {
		parts := strings.Fields(c.path)
		cond := "__fish_use_subcommand"
		if len(parts) > 0 {
			cond = "__fish_seen_subcommand_from " + parts[len(parts)-1]
			if len(parts) > 1 {
				cond = "__fish_seen_subcommand_from " + parts[0] + "; and " + cond
			}
			if len(c.subs) > 0 {
				cond += "; and not __fish_seen_subcommand_from " + strings.Join(c.subs, " ")
			}
		}
		for _, w := range c.subs {
			fmt.Fprintf(&b, "complete -c hongyan -n '%s' -a %s\n", cond, w)
		}
		for _, f := range c.flags {
			if len(parts) == 0 || len(c.subs) == 0 {
				fmt.Fprintf(&b, "complete -c hongyan -n '%s' -l %s\n", cond, strings.TrimPrefix(f, "--"))
			}
		}
	}
	return b.String()
}
