package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"sesame/server/internal/config"
	"sesame/server/internal/problem"
)

// usageError is a command line that cannot be right, whatever the database holds. The exit code is 2.
type usageError struct{ error }

// Unwrap returns the reason.
func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// invalidSettings is the error for one or more invalid settings.
func invalidSettings(err error) error {
	if !strings.Contains(err.Error(), "\n") {
		return usageError{err}
	}
	return usagef("invalid settings:\n%w", err)
}

// fail prints an error in the form of every error of this program, and returns the exit code. nil is no error.
func (p *program) fail(err error) int {
	if err == nil {
		return 0
	}
	if file, ok := errors.AsType[*fs.PathError](err); ok && file.Error() == err.Error() { // with no explanation around it
		err = explainFile(file)
	}
	text := strings.ReplaceAll(p.namePlaces(strings.TrimSuffix(err.Error(), "\n")), "\n", "\n  ")
	fmt.Fprintln(p.Stderr, "sesame: "+text)
	if _, ok := errors.AsType[usageError](err); ok {
		return 2
	}
	return 1
}

var variableName = regexp.MustCompile(config.Prefix + `[A-Z0-9_]*[A-Z0-9]`)

// namePlaces replaces the name of a variable by that of its flag where the value came from the flag, so that an error names the
// place where the value is.
func (p *program) namePlaces(text string) string {
	return variableName.ReplaceAllStringFunc(text, func(variable string) string {
		flag := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(variable, config.Prefix), "_", "-"))
		if p.given[flag] {
			return "--" + flag
		}
		return variable
	})
}

// explain returns the public text of a domain error for a terminal, with the names of the contract's fields.
func explain(err error) error { return explainAt(err, nil) }

// explainAt is explain where the fields were given as arguments or flags: places maps the name of a field to that of its place.
func explainAt(err error, places map[string]string) error {
	e, ok := errors.AsType[*problem.Error](err)
	if !ok || len(e.Fields) == 0 && e.Cause != nil && (e.Code == problem.Internal || e.Code == problem.Unavailable) {
		return err
	}
	if len(e.Fields) == 0 {
		return errors.New(lowerFirst(strings.TrimSuffix(e.Detail, ".")))
	}
	reasons := make([]error, len(e.Fields))
	for i, f := range e.Fields {
		field := strings.TrimPrefix(f.Pointer, "/")
		place, ok := places[field]
		if !ok {
			place = "the " + field
		}
		reasons[i] = fmt.Errorf("%s %s", place, f.Detail)
	}
	return errors.Join(reasons...)
}

func lowerFirst(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToLower(first)) + text[size:]
}

// explainFile says what to do about a file that a command cannot open.
func explainFile(err *fs.PathError) error {
	folder := filepath.Dir(err.Path)
	_, noFolder := os.Stat(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist) && noFolder != nil:
		return fmt.Errorf("there is no folder %s for the file %s", folder, err.Path)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no file %s", err.Path)
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("the file %s exists already; choose another name, or remove it", err.Path)
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%s is not a folder", err.Path)
	}
	return err
}

// unreadable is the error for a file that a flag or an argument names.
func unreadable(place, file string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return usagef("there is no file %s, which %s names", file, place)
	}
	return fmt.Errorf("%s: %w", place, err)
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./+,@%:-]+$`)

// shellWord quotes a text for a command that people copy: the name of a file, or of an account, may contain commands.
func shellWord(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// lastWord is shellWord for the last argument of a command, which may begin with a hyphen.
func lastWord(text string) string {
	if strings.HasPrefix(text, "-") {
		return "-- " + shellWord(text)
	}
	return shellWord(text)
}
