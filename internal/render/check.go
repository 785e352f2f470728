package render

import (
	"fmt"
	"strings"
	"text/template/parse"
)

// checker walks a parse tree once: it refuses what could spin, recurse or call
// methods, and rewrites the rest so that every access to data goes through the
// machine's own functions.
type checker struct {
	allowed map[string]bool
	html    bool
	reads   [][]string // paths into the root
	err     error
}

// where tells how deep the walk is and what the dot means there.
type where struct {
	depth, ranges int
	root          bool // dot is the root
}

func (c *checker) refuse(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

func (c *checker) list(l *parse.ListNode, w where) {
	if l == nil || c.err != nil {
		return
	}
	if w.depth > MaxNesting {
		c.refuse("if, with and range are nested more than %d deep", MaxNesting)
		return
	}
	for _, n := range l.Nodes {
		c.node(n, w)
	}
}

func (c *checker) node(n parse.Node, w where) {
	inner := w
	inner.depth++
	switch n := n.(type) {
	case *parse.TextNode, *parse.BreakNode, *parse.ContinueNode, *parse.CommentNode:
	case *parse.ActionNode:
		source := n.Pipe.String()
		c.pipe(n.Pipe, w, false)
		if len(n.Pipe.Decl) == 0 {
			c.output(n.Pipe, source)
		}
	case *parse.IfNode:
		c.pipe(n.Pipe, w, true)
		c.list(n.List, inner)
		c.list(n.ElseList, inner)
	case *parse.WithNode:
		c.pipe(n.Pipe, w, true)
		inElse := inner
		inner.root = false
		c.list(n.List, inner)
		c.list(n.ElseList, inElse)
	case *parse.RangeNode:
		c.ranged(n, w, inner)
	case *parse.TemplateNode:
		c.refuse("template, define and block are not available")
	default:
		c.refuse("%s is not available", strings.TrimSpace(n.String()))
	}
}

func (c *checker) ranged(n *parse.RangeNode, w, inner where) {
	if len(n.Pipe.Cmds) == 1 && len(n.Pipe.Cmds[0].Args) == 1 {
		if _, ok := n.Pipe.Cmds[0].Args[0].(*parse.NumberNode); ok {
			c.refuse("range goes over lists and objects, not over a number")
		}
	}
	if w.ranges++; w.ranges > MaxRanges {
		c.refuse("range is nested more than %d deep", MaxRanges)
		return
	}
	c.pipe(n.Pipe, w, false)
	n.Pipe.Cmds = append(n.Pipe.Cmds, command(n.Pipe.Pos, ident(n.Pipe.Pos, fnList)))
	inElse := inner
	inner.root, inner.ranges = false, w.ranges
	c.list(n.List, inner)
	c.list(n.ElseList, inElse)
}

// pipe checks and rewrites a pipeline. In a lenient one, missing fields are
// nil; elsewhere only what flows into default may be missing.
func (c *checker) pipe(p *parse.PipeNode, w where, lenient bool) {
	if p == nil || c.err != nil {
		return
	}
	for _, d := range p.Decl {
		if len(d.Ident) != 1 || d.Ident[0] == "$" {
			c.refuse("%s cannot be set", d)
		}
	}
	lastDefault := -1
	for i, cmd := range p.Cmds {
		if isCall(cmd, "default") {
			lastDefault = i
		}
	}
	for i, cmd := range p.Cmds {
		c.command(cmd, w, lenient || i <= lastDefault, i == 0)
	}
}

func (c *checker) command(cmd *parse.CommandNode, w where, lenient, first bool) {
	if len(cmd.Args) == 0 {
		return
	}
	_, isFunc := cmd.Args[0].(*parse.IdentifierNode)
	if !isFunc && (len(cmd.Args) > 1 || !first) {
		c.refuse("%s is a value and cannot be called", cmd.Args[0])
		return
	}
	for i, arg := range cmd.Args {
		if _, bare := arg.(*parse.IdentifierNode); !bare || i > 0 {
			cmd.Args[i] = c.arg(arg, w, lenient)
			continue
		}
		c.name(arg)
	}
	// A command that is nothing but an access becomes the access's command.
	if len(cmd.Args) == 1 {
		if p, ok := cmd.Args[0].(*parse.PipeNode); ok && len(p.Cmds) == 1 && isAccess(p.Cmds[0]) {
			cmd.Args = p.Cmds[0].Args
		}
	}
}

func (c *checker) name(n parse.Node) {
	id, ok := n.(*parse.IdentifierNode)
	if ok && !c.allowed[id.Ident] {
		c.refuse("function %q is not in the list", id.Ident)
	}
}

func (c *checker) arg(n parse.Node, w where, lenient bool) parse.Node {
	switch n := n.(type) {
	case *parse.FieldNode:
		base := ""
		if w.root {
			base = "/"
			c.reads = append(c.reads, n.Ident)
		}
		return access(n.Pos, base, &parse.DotNode{NodeType: parse.NodeDot, Pos: n.Pos}, n.Ident, lenient)
	case *parse.VariableNode:
		base := ""
		if n.Ident[0] == "$" {
			base = "/"
			c.reads = append(c.reads, n.Ident[1:])
		}
		if len(n.Ident) == 1 {
			return n
		}
		v := &parse.VariableNode{NodeType: parse.NodeVariable, Pos: n.Pos, Ident: n.Ident[:1]}
		return access(n.Pos, base, v, n.Ident[1:], lenient)
	case *parse.ChainNode:
		return access(n.Pos, "", c.arg(n.Node, w, lenient), n.Field, lenient)
	case *parse.PipeNode:
		if len(n.Decl) > 0 {
			c.refuse("a variable cannot be set inside parentheses")
		}
		c.pipe(n, w, lenient)
		return n
	case *parse.IdentifierNode:
		c.name(n)
		return n
	case *parse.DotNode:
		if w.root {
			c.reads = append(c.reads, nil)
		}
		return n
	case *parse.NilNode, *parse.BoolNode, *parse.StringNode:
		return n
	case *parse.NumberNode:
		if !n.IsInt && !n.IsFloat {
			c.refuse("%s is not a number that JSON has", n)
		}
		return n
	default:
		c.refuse("%s is not available", n)
		return n
	}
}

// output makes the pipeline of an action print through the machine.
func (c *checker) output(p *parse.PipeNode, source string) {
	fn := fnOut
	if c.html && !isCall(p.Cmds[len(p.Cmds)-1], "escapeHTML") {
		fn = fnOutHTML
	}
	p.Cmds = append(p.Cmds, command(p.Pos, ident(p.Pos, fn), str(p.Pos, source)))
}

func isCall(cmd *parse.CommandNode, name string) bool {
	if len(cmd.Args) == 0 {
		return false
	}
	id, ok := cmd.Args[0].(*parse.IdentifierNode)
	return ok && id.Ident == name
}

func isAccess(cmd *parse.CommandNode) bool {
	return isCall(cmd, fnNeed) || isCall(cmd, fnLookup)
}

func access(pos parse.Pos, base string, of parse.Node, path []string, lenient bool) parse.Node {
	var args []parse.Node
	if lenient {
		args = []parse.Node{ident(pos, fnLookup), of}
	} else {
		args = []parse.Node{ident(pos, fnNeed), str(pos, base), of}
	}
	for _, k := range path {
		args = append(args, str(pos, k))
	}
	return &parse.PipeNode{NodeType: parse.NodePipe, Pos: pos, Cmds: []*parse.CommandNode{command(pos, args...)}}
}

func command(pos parse.Pos, args ...parse.Node) *parse.CommandNode {
	return &parse.CommandNode{NodeType: parse.NodeCommand, Pos: pos, Args: args}
}

func ident(pos parse.Pos, name string) *parse.IdentifierNode {
	return parse.NewIdentifier(name).SetPos(pos)
}

func str(pos parse.Pos, s string) *parse.StringNode {
	return &parse.StringNode{NodeType: parse.NodeString, Pos: pos, Quoted: fmt.Sprintf("%q", s), Text: s}
}
