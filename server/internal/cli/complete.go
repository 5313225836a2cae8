package cli

import (
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"sesame/server/internal/config"

	"github.com/alecthomas/kong"
)

// completeCommand is what the scripts of `sesame completion` run at each press of the tab key, with the words of the command line
// up to the cursor: sesame __complete user cr. It needs no valid settings and opens no database.
const completeCommand = "__complete"

// files stands for the names of files in the answer of completeCommand.
const files = ":files"

var (
	//go:embed completion/sesame.bash
	bashCompletion string
	//go:embed completion/sesame.zsh
	zshCompletion string
	//go:embed completion/sesame.fish
	fishCompletion string
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish. Add source <(sesame completion bash) to ~/.bashrc, the same with zsh to ~/.zshrc, or sesame completion fish | source to config.fish."`
}

func (*completionCommand) needsNoSettings() {}

// Run prints a script.
func (c *completionCommand) Run(p *program) error {
	_, err := io.WriteString(p.Stdout, map[string]string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[c.Shell])
	return err
}

// complete prints what the last word may become: a line for each candidate, with its description after a tab.
func (p *program) complete(words []string) {
	if len(words) == 0 {
		return
	}
	last := words[len(words)-1]
	node, flag, positional := p.reached(words[:len(words)-1])
	name, value, hasValue := strings.Cut(last, "=")
	var candidates [][2]string
	switch {
	case flag != nil:
		candidates = p.values(flag.Value, "")
	case hasValue && isFlag(name):
		if flag = flagOf(p.completable(node), strings.TrimLeft(name, "-")); flag != nil {
			candidates = p.values(flag.Value, name+"=")
			if value == "" && len(candidates) == 1 && candidates[0][0] == name+"="+files {
				candidates[0][0] = files
			}
		}
	case isFlag(last):
		candidates = p.flags(node, last)
	case len(node.Children) > 0:
		for _, child := range node.Children {
			if !child.Hidden {
				candidates = append(candidates, [2]string{child.Name, child.Help})
			}
		}
	case node.Name == "help":
		candidates = p.topics(words[1 : len(words)-1])
	case len(node.Positional) > 0:
		candidates = p.values(node.Positional[min(positional, len(node.Positional)-1)], "")
	}
	for _, c := range candidates {
		if strings.HasPrefix(c[0], last) || c[0] == files {
			fmt.Fprintf(p.Stdout, "%s\t%s\n", c[0], c[1])
		}
	}
}

// reached walks along complete words. It returns the command, the flag whose value comes next, if any, and how many arguments the
// command has.
func (p *program) reached(words []string) (node *kong.Node, next *kong.Flag, positional int) {
	node = p.parser.Model.Node
	for _, word := range words {
		i := slices.IndexFunc(node.Children, func(child *kong.Node) bool { return child.Name == word })
		switch {
		case next != nil:
			next = nil
		case isFlag(word):
			flag := flagOf(p.completable(node), strings.TrimLeft(word, "-"))
			if flag != nil && !flag.IsBool() && !strings.Contains(word, "=") {
				next = flag
			}
		case i >= 0:
			node = node.Children[i]
		default:
			positional++
		}
	}
	return node, next, positional
}

// completable is the command whose flags may follow: for the program itself, that is serve.
func (p *program) completable(node *kong.Node) *kong.Node {
	if node.Parent == nil {
		return node.DefaultCmd
	}
	return node
}

// flags are the flags of a command, and the settings where the command is serve or the word fits no other flag.
func (p *program) flags(node *kong.Node, last string) (candidates [][2]string) {
	node = p.completable(node)
	add := func(flags []*kong.Flag) {
		for _, flag := range flags {
			names := []string{"--" + flag.Name}
			if flag.Tag.Negatable != "" {
				names = append(names, "--no-"+flag.Name)
			}
			for _, name := range names {
				if !flag.Hidden && strings.HasPrefix(name, last) {
					candidates = append(candidates, [2]string{name, flag.Help})
				}
			}
		}
	}
	add(ownFlags(node))
	if node == p.parser.Model.DefaultCmd || len(candidates) == 0 {
		add(config.Flags(p.parser))
	}
	return candidates
}

// values are the values of a flag or an argument: its choices, the scopes of the contract, or files.
func (p *program) values(value *kong.Value, prefix string) (candidates [][2]string) {
	var choices []string
	placeholder := ""
	if value.Flag != nil {
		placeholder = value.Flag.PlaceHolder
	}
	switch {
	case value.Enum != "":
		choices = value.EnumSlice()
	case strings.Contains(placeholder, "|") && !strings.Contains(placeholder, ":"): // HOST:PORT|unix:PATH are forms, not choices
		choices = strings.Split(placeholder, "|")
	case value.Name == "scope":
		if rules, err := p.rules(); err == nil {
			choices = rules.Scopes().Declared
		}
	case slices.Contains([]string{"FILE", "FOLDER", "PATH"}, placeholder) || value.Name == "file" || value.Name == "dir":
		choices = []string{files}
	}
	for _, choice := range choices {
		candidates = append(candidates, [2]string{prefix + choice, ""})
	}
	return candidates
}

// topics are the commands below those that are named, for help.
func (p *program) topics(words []string) (candidates [][2]string) {
	node := p.parser.Model.Node
	for _, word := range words {
		i := slices.IndexFunc(node.Children, func(child *kong.Node) bool { return child.Name == word })
		if i < 0 {
			return nil
		}
		node = node.Children[i]
	}
	for _, name := range commandNames(node) {
		candidates = append(candidates, [2]string{name, ""})
	}
	if len(words) == 0 {
		candidates = append(candidates, [2]string{settingsTopic, ""})
	}
	return candidates
}
