package inventory

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of an os-release file and of what is taken from it. Real ones have a few hundred bytes.
const (
	MaxOSRelease   = 64 << 10
	maxOSWord      = 64
	maxOSSentence  = 256
	osReleaseEmpty = "os-release: no ID, VERSION_ID or PRETTY_NAME"
)

// OSReleasePaths are where an os-release file stands, the one that counts first (os-release(5)).
func OSReleasePaths() []string { return []string{"etc/os-release", "usr/lib/os-release"} }

// ParseOSRelease reads an os-release file: assignments as a shell has them, with single and double quotes and backslashes
// (os-release(5)). The last assignment of a name counts. An error says what could not be taken from it; the rest is in the OS all the
// same, which is never more than a few hundred bytes of printable text.
func ParseOSRelease(b []byte) (OS, error) {
	if len(b) > MaxOSRelease {
		return OS{}, fmt.Errorf("os-release: more than %d bytes", MaxOSRelease)
	}
	var (
		os   OS
		errs []error
	)
	fields := map[string]struct {
		to   *string
		most int
	}{"ID": {&os.ID, maxOSWord}, "VERSION_ID": {&os.VersionID, maxOSWord}, "PRETTY_NAME": {&os.PrettyName, maxOSSentence}}
	for line := range bytes.Lines(b) {
		name, raw, ok := strings.Cut(strings.TrimSpace(string(line)), "=")
		field, wanted := fields[name]
		if !ok || !wanted {
			continue
		}
		value, err := unquote(raw)
		if err == nil {
			err = printable(value, field.most)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("os-release: %s: %w", name, err))
			continue
		}
		*field.to = value
	}
	if os == (OS{}) && len(errs) == 0 {
		errs = append(errs, errors.New(osReleaseEmpty))
	}
	return os, errors.Join(errs...)
}

// unquote gives what a shell makes of the right side of an assignment, without expanding anything.
func unquote(raw string) (string, error) {
	var (
		value strings.Builder
		quote byte // 0: outside
	)
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote == 0 && (c == ' ' || c == '\t'):
			return value.String(), nil // another word begins
		case c == '\\' && quote != '\'':
			i++
			if i == len(raw) {
				return "", errors.New("it ends in a backslash")
			}
			if quote == '"' && !strings.ContainsRune("\"$\\`", rune(raw[i])) {
				value.WriteByte(c) // within double quotes it escapes nothing else
			}
			value.WriteByte(raw[i])
		default:
			value.WriteByte(c)
		}
	}
	if quote != 0 {
		return "", errors.New("a quote is not closed")
	}
	return value.String(), nil
}

// printable tells whether a stranger's text is short, and something that people can read.
func printable(s string, most int) error {
	switch {
	case len(s) > most:
		return fmt.Errorf("more than %d bytes", most)
	case !utf8.ValidString(s):
		return errors.New("not UTF-8")
	case strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errors.New("characters that cannot be printed")
	}
	return nil
}
