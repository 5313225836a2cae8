package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"sesame/server/internal/config"
	"sesame/server/internal/tracing"
)

// settingsTopic is the one topic of help that is no command.
const settingsTopic = "settings"

// settingGroups are the titles of the settings: each begins with the setting that is its key.
var settingGroups = map[string]string{
	"listen":           "Addresses, database and keys",
	"access-token-ttl": "Tokens and sessions",
	"registration":     "Accounts and passwords",
	"smtp-url":         "Mails",
	"docs":             "Documentation and diagnostics",
}

type helpCommand struct {
	Command []string `arg:"" optional:"" help:"A command, such as user create, or settings."`
}

func (*helpCommand) needsNoSettings() {}

// Run explains a command.
func (c *helpCommand) Run(p *program) error {
	node := p.parser.Model.Node
	if len(c.Command) == 1 && c.Command[0] == settingsTopic {
		h := newHelp(p.Stdout)
		h.line("The settings of the server. Each is a flag and a variable; the flag overrides the variable. Print those in force with: sesame config")
		h.settings(p.parser.Model.Node)
		return h.end()
	}
	for _, word := range c.Command {
		i := slices.IndexFunc(node.Children, func(child *kong.Node) bool { return child.Name == word && !child.Hidden })
		if i < 0 && len(node.Children) == 0 {
			return usagef("%s has no commands of its own\nsee:     %s --help", node.FullPath(), node.FullPath())
		}
		if i < 0 {
			return unknownCommand(p.parser, node, word)
		}
		node = node.Children[i]
	}
	return writeHelp(p.Stdout, node)
}

// printHelp is what --help does.
func printHelp(_ kong.HelpOptions, c *kong.Context) error {
	node := c.Selected()
	if node == nil {
		node = c.Model.Node
	}
	return writeHelp(c.Stdout, node)
}

// writeHelp explains a command: its own flags first, and of the settings only those that matter most to it.
func writeHelp(w io.Writer, node *kong.Node) error {
	h := newHelp(w)
	h.line(node.Help)
	h.title("Usage")
	h.indented("  ", usageLine(node))
	h.commands(node)
	var rows [][2]string
	for _, argument := range node.Positional {
		rows = append(rows, [2]string{argument.Summary(), withDefault(argument)})
	}
	h.section("Arguments", rows)
	if rows = nil; config.HasVariables(node) {
		h.WriteString("\n")
		h.line("Each flag can be set by a variable, too: " + config.CommandVariable(node, node.Flags[0]) + " is --" + node.Flags[0].Name + ".")
	}
	for _, flag := range ownFlags(node) {
		name := flagName(flag)
		if flag.Short == 0 {
			name = "    " + name // below the long name of -h, --help
		}
		rows = append(rows, [2]string{name, withDefault(flag.Value)})
	}
	h.section("Flags", rows)
	if example := node.Tag.Get("example"); example != "" {
		h.title("Example")
		h.indented("  ", example)
	}
	h.aboutSettings(node)
	return h.end()
}

func usageLine(node *kong.Node) string {
	line := node.FullPath()
	if len(node.Children) > 0 {
		line += " <command>"
	}
	return strings.TrimSpace(line+" "+arguments(node)) + " [flags]"
}

// ownFlags are the flags of a command and of its group, without the settings; --help is the last.
func ownFlags(node *kong.Node) (flags []*kong.Flag) {
	var last []*kong.Flag
	for n := node; n != nil; n = n.Parent {
		for _, flag := range n.Flags {
			switch {
			case flag.Hidden:
			case n.Parent != nil:
				flags = append(flags, flag)
			case flag.Name == "help" || flag.Name == "version" && n == node:
				last = append(last, flag)
			}
		}
	}
	return append(flags, last...)
}

func flagName(flag *kong.Flag) string {
	name := flag.String()
	if flag.Tag.Negatable != "" {
		name = strings.Replace(name, "--", "--[no-]", 1)
	}
	return name
}

// withDefault is the help of a flag or an argument, with its default.
func withDefault(value *kong.Value) string {
	if !value.HasDefault || value.IsBool() || value.Default == "" || strings.Contains(value.Help, "(default") {
		return value.Help
	}
	return fmt.Sprintf("%s (default: %s)", value.Help, value.Default)
}

// help writes text that fits the terminal.
type help struct {
	strings.Builder
	to    io.Writer
	width int
}

func newHelp(to io.Writer) *help {
	h := &help{to: to, width: 100}
	if wrapper, ok := to.(interface{ Unwrap() io.Writer }); ok {
		if file, ok := wrapper.Unwrap().(*os.File); ok {
			if width, _, err := term.GetSize(int(file.Fd())); err == nil {
				h.width = max(40, min(h.width, width))
			}
		}
	}
	return h
}

func (h *help) end() error {
	_, err := io.WriteString(h.to, h.String())
	return err
}

func (h *help) title(text string) { h.WriteString("\n" + text + ":\n") }

func (h *help) line(text string) { h.indented("", text) }

// indented writes a text in lines that begin with an indent.
func (h *help) indented(indent, text string) {
	for _, line := range wrap(text, h.width-len(indent)) {
		h.WriteString(indent + line + "\n")
	}
}

// wrap breaks a text into lines of at most width characters, between words.
func wrap(text string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line+" "+word) > width:
			lines, line = append(lines, line), word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}

// section writes rows in two columns. A long name stands alone in its line.
func (h *help) section(title string, rows [][2]string) {
	if len(rows) == 0 {
		return
	}
	h.title(title)
	column := 0
	for _, row := range rows {
		if n := utf8.RuneCountInString(row[0]); n <= 30 {
			column = max(column, n)
		}
	}
	for _, row := range rows {
		name := row[0]
		if utf8.RuneCountInString(name) > column {
			h.WriteString("  " + name + "\n")
			name = ""
		}
		for _, line := range wrap(row[1], h.width-column-4) {
			fmt.Fprintf(h, "  %-*s  %s\n", column, name, line)
			name = ""
		}
	}
}

// commands lists the commands of a node in their groups, with the names of the commands below them.
func (h *help) commands(node *kong.Node) {
	var titles []string
	groups := map[string][][2]string{}
	for _, child := range node.Children {
		if child.Hidden {
			continue
		}
		title := "Commands"
		if child.Group != nil {
			title = child.Group.Title
		}
		if !slices.Contains(titles, title) {
			titles = append(titles, title)
		}
		text := child.Help
		if names := commandNames(child); len(names) > 0 {
			text = strings.TrimSuffix(text, ".") + ": " + strings.Join(names, ", ") + "."
		}
		groups[title] = append(groups[title], [2]string{child.Name, text})
	}
	for _, title := range titles {
		h.section(title, groups[title])
	}
}

// aboutSettings says which settings of the server a command uses.
func (h *help) aboutSettings(node *kong.Node) {
	root, uses := node, node.Tag.Get("uses")
	for root.Parent != nil {
		if root = root.Parent; uses == "" {
			uses = root.Tag.Get("uses")
		}
	}
	switch {
	case node == root:
		h.WriteString("\n")
		h.line("sesame help COMMAND explains a command, and sesame help settings the settings of the server.")
	case uses == "all":
		h.settings(root)
	case uses != "":
		h.title("Settings")
		for _, flag := range root.Flags {
			if slices.Contains(strings.Split(uses, ","), flag.Name) {
				h.setting(flag)
			}
		}
		h.WriteString("\n")
		if config.HasVariables(node) {
			h.line("It runs apart from the server, with settings of its own. The others that it has are the certificate's key, the public URL, the log, the metrics and the drain time; see: sesame help settings")
			return
		}
		h.line("These and the other settings must be those of the server; see: sesame help settings")
	}
}

// settings lists every setting, in groups, and the variables of OpenTelemetry.
func (h *help) settings(root *kong.Node) {
	for _, flag := range root.Flags {
		if flag.Name == "help" || flag.Name == "version" || flag.Hidden {
			continue
		}
		if title, ok := settingGroups[flag.Name]; ok {
			h.title(title)
		}
		h.setting(flag)
	}
	h.traces()
}

func (h *help) traces() {
	h.title("Traces (the variables of OpenTelemetry, which have no flags)")
	for _, v := range tracing.Variables {
		if v.Help != "" {
			h.indented("  ", v.Name+"="+v.Value)
			h.indented("      ", v.Help)
		}
	}
}

func (h *help) setting(flag *kong.Flag) {
	fmt.Fprintf(h, "  %s, %s\n", flagName(flag), config.Variable(flag.Name))
	h.indented("      ", withDefault(flag.Value))
}
