package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"sesame/server/internal/app"
)

// maxPassword bounds how many bytes of standard input are read. It is more than any password may have, so a longer line is
// refused as too long.
const maxPassword = 4 << 10

// terminal returns the terminal at which a person types, if standard input is one.
func (p *program) terminal() (fd int, ok bool) {
	file, ok := p.Stdin.(*os.File)
	if !ok || !app.IsTerminal(file) {
		return 0, false
	}
	return int(file.Fd()), true
}

// readPassword prompts twice on a terminal, and otherwise reads the first line of standard input. A password is never an
// argument, since other users of the machine can see arguments. command is for the example of an error.
func (p *program) readPassword(command string) (string, error) {
	if fd, ok := p.terminal(); ok {
		return p.askPassword(fd)
	}
	text, err := bufio.NewReader(io.LimitReader(p.Stdin, maxPassword)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	text = strings.TrimRight(text, "\r\n")
	switch {
	case text == "":
		return "", usagef("no password on standard input\nexample: echo 'the password' | sesame %s", command)
	case !utf8.ValidString(text):
		return "", usagef("the password is not valid UTF-8")
	}
	return text, nil
}

func (p *program) askPassword(terminal int) (string, error) {
	var typed [2]string
	for i, prompt := range []string{"Password: ", "Again: "} {
		fmt.Fprint(p.Stderr, prompt)
		text, err := p.prompted(terminal, func() (string, error) {
			text, err := term.ReadPassword(terminal)
			return string(text), err
		})
		fmt.Fprintln(p.Stderr)
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		typed[i] = text
	}
	if typed[0] != typed[1] {
		return "", errors.New("the two passwords differ; nothing was changed")
	}
	return typed[0], nil
}

// prompted reads from a terminal until an interrupt. It then turns the echo on again, which the reader cannot do.
func (p *program) prompted(terminal int, read func() (string, error)) (string, error) {
	state, err := term.GetState(terminal)
	if err != nil {
		return "", err
	}
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		text, err := read()
		answers <- answer{text, err}
	}()
	select {
	case a := <-answers:
		return a.text, a.err
	case <-p.ctx.Done():
		return "", errors.Join(p.ctx.Err(), term.Restore(terminal, state))
	}
}

// confirm asks a person at a terminal to type a word before something that cannot be undone. Without a terminal it refuses, since a
// script has --yes for that.
func (p *program) confirm(question, word string) error {
	fd, ok := p.terminal()
	if !ok {
		return usagef("nothing was changed: standard input is no terminal at which to ask; confirm it with --yes")
	}
	fmt.Fprint(p.Stderr, question)
	typed, err := p.prompted(fd, func() (string, error) { return bufio.NewReader(p.Stdin).ReadString('\n') })
	if err != nil {
		fmt.Fprintln(p.Stderr) // nothing has ended the line of the question
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimRight(typed, "\r\n") != word {
		return fmt.Errorf("nothing was changed: what you typed is not %s", word)
	}
	return nil
}
