package cli

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"sesame/server/internal/account"
)

var errBufferFull = bufio.ErrBufferFull

// separators are what CSV files separate columns with. Spreadsheets write semicolons where the comma is decimal.
var separators = []struct {
	name string
	char rune
}{{"comma", ','}, {"semicolon", ';'}, {"tab", '\t'}}

// readCSV reads a table with a header (RFC 4180), or without one if the mapping knows the columns. An unknown column of our
// own format is an error before anything is created, since it may be mistyped; unknown columns of other applications are
// ignored.
func readCSV(in *importFile, m mapping, separator string, take func(record) error) error {
	comma, err := m.separator(in, separator)
	if err != nil {
		return err
	}
	source := &recordReader{Reader: in.Reader}
	reader := csv.NewReader(source)
	reader.ReuseRecord, reader.Comma = true, comma
	header := m.header
	if header != nil {
		reader.FieldsPerRecord, reader.LazyQuotes = -1, true
	} else {
		if header, err = reader.Read(); errors.Is(err, io.EOF) {
			return fmt.Errorf("the header cannot be read: %s is empty", in.shown())
		} else if err != nil {
			return fmt.Errorf("%s: the header cannot be read: %w", in.at(1), err)
		}
		header = slices.Clone(header)
		if err = m.checkHeader(header); err != nil {
			return fmt.Errorf("%s: %w", in.at(1), err)
		}
	}
	for line := 1; ; {
		source.next()
		row, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		r := record{}
		switch broken, ok := errors.AsType[*csv.ParseError](err); {
		case ok:
			r.line, r.refusal = broken.StartLine, malformedRow(broken, len(header), len(row))
		case errors.Is(err, errUnclosed):
			return fmt.Errorf("%s: the record after it cannot be read: %w", in.at(line), err)
		case err != nil:
			return err
		default:
			r.line, _ = reader.FieldPos(0)
			r.user, r.refusal = m.row(header, row)
		}
		line = r.line
		if err = take(r); err != nil {
			return err
		}
	}
}

// malformedRow explains what encoding/csv found.
func malformedRow(broken *csv.ParseError, want, got int) *account.Refusal {
	reason := "has a quotation mark in the middle of a field; quote the field, and write the mark twice"
	switch {
	case errors.Is(broken.Err, csv.ErrFieldCount):
		reason = fmt.Sprintf("has %s, and the header has %d", counted(got, "column"), want)
	case errors.Is(broken.Err, csv.ErrQuote) && broken.Line > broken.StartLine:
		reason = fmt.Sprintf("has a quoted field that is not closed correctly, and that contains the lines up to %d; they were not read", broken.Line)
	case errors.Is(broken.Err, csv.ErrQuote):
		reason = "has a quoted field with text after its closing quotation mark, or without one"
	}
	return &account.Refusal{Code: "malformed", Reason: "is not valid CSV: it " + reason}
}

// row reads an account from a row.
func (m mapping) row(header, row []string) (account.ImportedUser, *account.Refusal) {
	f := fields{}
	for i, name := range header[:min(len(header), len(row))] {
		if refusal := checkUTF8(name, []byte(row[i])); refusal != nil {
			return account.ImportedUser{}, refusal
		}
		f[name] = row[i]
	}
	return m.record(f)
}

// checkHeader returns why a header does not fit the mapping.
func (m mapping) checkHeader(header []string) error {
	for i, name := range header {
		switch {
		case checkUTF8("", []byte(name)) != nil:
			return errors.New("the header is not UTF-8; if the file is Latin-1 or Windows-1252, convert it: iconv -f WINDOWS-1252 -t UTF-8")
		case slices.Contains(header[:i], name) && m.known(name):
			return fmt.Errorf("the header has the column %s twice", name)
		}
	}
	for _, name := range m.columns {
		if !slices.Contains(header, name) {
			return fmt.Errorf("the header has no column %s; the first line must name the columns: %s", name, m.allColumns())
		}
	}
	for _, name := range header {
		if !m.foreign && !m.known(name) {
			return fmt.Errorf("the header has the unknown column %s; the columns are %s", printableName(name), m.allColumns())
		}
	}
	return nil
}

func (m mapping) allColumns() string { return strings.Join(slices.Concat(m.columns, m.optional), ", ") }

// separator returns the character between columns: the given one, or the one with which the header fits the mapping.
func (m mapping) separator(in *importFile, given string) (rune, error) {
	start, _ := in.Peek(maxRecord) // a read error comes again
	var fitting, present []rune
	var found []string
	for _, s := range separators {
		if s.name == given {
			return s.char, nil
		}
		reader := csv.NewReader(bytes.NewReader(start))
		reader.Comma = s.char
		header, err := reader.Read()
		if err != nil {
			continue
		}
		if len(header) > 1 {
			present, found = append(present, s.char), append(found, s.name)
		}
		if m.checkHeader(header) == nil {
			fitting = append(fitting, s.char)
		}
	}
	switch {
	case m.header != nil: // written by one program, always with commas
		return ',', nil
	case len(fitting) == 1:
		return fitting[0], nil
	case len(present) == 1:
		return present[0], nil
	case len(present) > 1:
		return 0, fmt.Errorf("%s: the columns may be separated by %s; choose one with --separator", in.at(1), strings.Join(found, " or "))
	}
	return ',', nil // one column
}
