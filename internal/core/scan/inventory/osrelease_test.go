package inventory_test

import (
	"strings"
	"testing"
	"unicode"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

func TestParseOSRelease(t *testing.T) {
	t.Parallel()
	const debian = `PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION="12 (bookworm)"
VERSION_CODENAME=bookworm
ID=debian
HOME_URL="https://www.debian.org/"
`
	tests := map[string]struct {
		file  string
		want  inventory.OS
		wrong string // words of the error; empty: none
	}{
		"Debian":       {debian, inventory.OS{ID: "debian", VersionID: "12", PrettyName: "Debian GNU/Linux 12 (bookworm)"}, ""},
		"Alpine":       {"NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.20.3\nPRETTY_NAME=\"Alpine Linux v3.20\"\n", inventory.OS{ID: "alpine", VersionID: "3.20.3", PrettyName: "Alpine Linux v3.20"}, ""},
		"no newline":   {"ID=alpine", inventory.OS{ID: "alpine"}, ""},
		"CRLF":         {"ID=alpine\r\nVERSION_ID=3\r\n", inventory.OS{ID: "alpine", VersionID: "3"}, ""},
		"comments":     {"# ID=a\n\nID=b\n#ID=c\n", inventory.OS{ID: "b"}, ""},
		"indented":     {"  ID=b", inventory.OS{ID: "b"}, ""},
		"last counts":  {"ID=a\nID=b\n", inventory.OS{ID: "b"}, ""},
		"set to empty": {"ID=a\nVERSION_ID=1\nVERSION_ID=\"\"\n", inventory.OS{ID: "a"}, ""},
		"single":       {`ID='a\b"c'`, inventory.OS{ID: `a\b"c`}, ""},
		"double":       {`PRETTY_NAME="a \"b\" \$c \\ \d ` + "\\`" + `"`, inventory.OS{PrettyName: "a \"b\" $c \\ \\d `"}, ""},
		"pieces":       {`ID=a"b"'c'\d`, inventory.OS{ID: "abcd"}, ""},
		"two words":    {"ID=a b # c", inventory.OS{ID: "a"}, ""},
		"nothing":      {"", inventory.OS{}, "no ID"},
		"other text":   {"hello\nID\n", inventory.OS{}, "no ID"},
		"open quote":   {"ID=\"a\nVERSION_ID=1\n", inventory.OS{VersionID: "1"}, "ID: a quote is not closed"},
		"backslash":    {`ID=a\`, inventory.OS{}, "ID: it ends in a backslash"},
		"control":      {"ID=a\x1b[2J\nVERSION_ID=1", inventory.OS{VersionID: "1"}, "ID: characters that cannot be printed"},
		"not UTF-8":    {"ID=\xff", inventory.OS{}, "ID: not UTF-8"},
		"long":         {"ID=" + strings.Repeat("a", 65), inventory.OS{}, "ID: more than 64 bytes"},
		"long name":    {"ID=a\nPRETTY_NAME=" + strings.Repeat("a", 257), inventory.OS{ID: "a"}, "PRETTY_NAME: more than 256 bytes"},
		"long file":    {"ID=a\n" + strings.Repeat("#", inventory.MaxOSRelease), inventory.OS{}, "more than 65536 bytes"},
	}
	for name, tt := range tests {
		got, err := inventory.ParseOSRelease([]byte(tt.file))
		if got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
		if (err == nil) != (tt.wrong == "") || err != nil && !strings.Contains(err.Error(), tt.wrong) {
			t.Errorf("%s: %v, want an error about %q", name, err, tt.wrong)
		}
	}
}

func FuzzParseOSRelease(f *testing.F) {
	f.Add([]byte("ID=\"a\\\"b\"\nVERSION_ID='1'\nPRETTY_NAME=a\\ b"))
	f.Fuzz(func(t *testing.T, b []byte) {
		os, _ := inventory.ParseOSRelease(b)
		if len(os.ID) > 64 || len(os.VersionID) > 64 || len(os.PrettyName) > 256 {
			t.Errorf("%q gives too much: %+v", b, os)
		}
		for _, r := range os.ID + os.VersionID + os.PrettyName {
			if !unicode.IsPrint(r) {
				t.Errorf("%q gives what cannot be printed: %+q", b, os)
			}
		}
	})
}
