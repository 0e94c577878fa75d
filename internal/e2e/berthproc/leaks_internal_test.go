package berthproc

import (
	"fmt"
	"strings"
	"testing"
)

func TestLeaksAreFound(t *testing.T) {
	t.Parallel()
	l := &leaks{}
	l.know("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
	for i, secret := range []string{
		"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
		"berth_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
		"berths_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
		"X-Amz-Signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJyZXBvIn0.c2lnbmF0dXJl",
		"Authorization:[Basic QVdTOnA=]",
		"-----BEGIN EC PRIVATE KEY-----",
	} {
		l.found = nil
		line := "level=INFO msg=request said=" + secret + " end\nmore"
		for _, piece := range []string{line[:25], line[25:]} {
			if _, err := fmt.Fprint(l, piece); err != nil {
				t.Fatal(err)
			}
		}
		if len(l.found) != 1 || strings.Contains(l.found[0], secret) || !strings.Contains(l.found[0], "<SECRET>") {
			t.Errorf("secret %d in a line: found %q", i, l.found)
		}
		l.partial = nil
	}
	l.found = nil
	if _, err := fmt.Fprintln(l, `level=INFO msg=request method=GET path=/v2/berth_team/app/manifests/sha256:0123 principal=arn:aws:iam::1:user/ci`); err != nil || l.found != nil {
		t.Errorf("an ordinary line: found %q, %v", l.found, err)
	}
}
