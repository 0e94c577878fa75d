package oci_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// The digests of the empty blob and of {}, which the image spec prints.
const (
	emptySHA256     = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	emptyJSONSHA256 = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
	emptySHA512     = "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce" +
		"47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
)

func TestParseDigest(t *testing.T) {
	t.Parallel()
	hex64, hex128 := strings.Repeat("0a", 32), strings.Repeat("0a", 64)
	for _, s := range []string{emptySHA256, emptySHA512, "sha256:" + hex64, "sha512:" + hex128} {
		d, err := oci.ParseDigest(s)
		if err != nil || d.String() != s {
			t.Errorf("ParseDigest(%s) = %s, %v; want it as it came", s, d, err)
		}
		if got := string(d.Algorithm()) + ":" + d.Hex(); got != s {
			t.Errorf("Algorithm and Hex of %s make %s", s, got)
		}
	}
	for name, s := range map[string]string{
		"empty":                 "",
		"no algorithm":          hex64,
		"only a colon":          ":",
		"no hex":                "sha256:",
		"empty algorithm":       ":" + hex64,
		"other algorithm":       "md5:d41d8cd98f00b204e9800998ecf8427e",
		"sha384":                "sha384:" + strings.Repeat("0", 96),
		"blake3":                "blake3:" + hex64,
		"algorithm in capitals": "SHA256:" + hex64,
		"hex in capitals":       "sha256:" + strings.ToUpper(hex64),
		"one digit short":       "sha256:" + hex64[1:],
		"one digit long":        "sha256:" + hex64 + "0",
		"sha512 as sha256":      "sha256:" + hex128,
		"not hex":               "sha256:" + strings.Repeat("g", 64),
		"two colons":            "sha256:sha256:" + hex64,
		"a space before":        " sha256:" + hex64,
		"a line after":          "sha256:" + hex64 + "\n",
		"a line within":         "sha256:" + hex64[1:] + "\n",
		"a NUL within":          "sha256:" + hex64[1:] + "\x00",
		"the suite's":           "sha256:baddigeststring",
		"dots":                  "sha256:../../etc/passwd",
		"very long":             "sha256:" + strings.Repeat("0", 100_000),
	} {
		d, err := oci.ParseDigest(s)
		if !errors.Is(err, fault.DigestInvalid) || d != "" {
			t.Errorf("%s: ParseDigest = %q, %v; want fault.DigestInvalid", name, d, err)
		}
		if len(err.Error()) > 600 {
			t.Errorf("%s: the error repeats %d bytes", name, len(err.Error()))
		}
	}
}

func TestDigestsOfKnownBytes(t *testing.T) {
	t.Parallel()
	if got := oci.FromBytes(nil); got != emptySHA256 {
		t.Errorf("FromBytes(nothing) = %s, want %s", got, emptySHA256)
	}
	if got := oci.FromBytes([]byte("{}")); got != emptyJSONSHA256 {
		t.Errorf("FromBytes({}) = %s, want %s", got, emptyJSONSHA256)
	}
	if !oci.Digest(emptySHA512).Matches(nil) {
		t.Error("the sha512 of nothing does not match nothing")
	}
	if oci.Digest(emptySHA512).Matches([]byte("x")) || oci.Digest(emptySHA256).Matches([]byte("x")) {
		t.Error("the digest of nothing matches something")
	}
}

func TestEverySumParses(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
		a := rapid.SampledFrom([]oci.Algorithm{oci.SHA256, oci.SHA512}).Draw(t, "algorithm")
		h := a.New()
		h.Write(b)
		d, err := oci.ParseDigest(oci.FromSum(a, h.Sum(nil)).String())
		if err != nil {
			t.Fatalf("ParseDigest: %v", err)
		}
		if d.Algorithm() != a || !d.Matches(b) {
			t.Fatalf("%s is not the %s of the bytes it was made of", d, a)
		}
	})
}

func FuzzParseDigest(f *testing.F) {
	for _, s := range []string{emptySHA256, emptySHA512, emptyJSONSHA256, "sha256:baddigeststring", "sha256:", "latest", "SHA256:00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := oci.ParseDigest(s)
		if err != nil {
			if !errors.Is(err, fault.DigestInvalid) || d != "" {
				t.Fatalf("ParseDigest(%q) = %q, %v", s, d, err)
			}
			return
		}
		hexLen := map[oci.Algorithm]int{oci.SHA256: 64, oci.SHA512: 128}[d.Algorithm()]
		if d.String() != s || len(d.Hex()) != hexLen || strings.Trim(d.Hex(), "0123456789abcdef") != "" {
			t.Fatalf("ParseDigest(%q) took %q", s, d)
		}
	})
}
