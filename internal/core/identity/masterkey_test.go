package identity_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/hoopstat-haus/berth/internal/core/identity"
)

func TestMasterKeyTexts(t *testing.T) {
	t.Parallel()
	raw := bytes.Repeat([]byte{0xfb, 0xef, 0x01, 0xff}, 8)
	want := hex.EncodeToString(raw)
	for _, text := range []string{
		want, strings.ToUpper(want), want + "\n", "  " + want + "\r\n",
		base64.StdEncoding.EncodeToString(raw), base64.RawStdEncoding.EncodeToString(raw),
		base64.URLEncoding.EncodeToString(raw) + "\n", base64.RawURLEncoding.EncodeToString(raw),
	} {
		m, err := identity.ParseMasterKey(text)
		if err != nil || m.Text() != want {
			t.Errorf("ParseMasterKey(%q) is %q, error %v; want %q", text, m.Text(), err, want)
		}
	}
	for _, text := range []string{"", "secret", want[:62], want + "00", want + "\n" + want, base64.StdEncoding.EncodeToString(raw[:31])} {
		_, err := identity.ParseMasterKey(text)
		if err == nil {
			t.Errorf("ParseMasterKey(%q) took it", text)
		} else if text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("ParseMasterKey(%q) repeats the text in its error: %v", text, err)
		}
	}
}

func TestMasterKeyDoesNotPrint(t *testing.T) {
	t.Parallel()
	m := newMaster(t)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("starting", "key", m)
	raw, err := hex.DecodeString(m.Text())
	if err != nil {
		t.Fatal(err)
	}
	for _, printed := range []string{
		fmt.Sprintf("%v %+v %#v %q", m, m, m, m), fmt.Sprintf("%v", struct{ K identity.MasterKey }{m}),
		fmt.Sprintf("%+v", struct{ k identity.MasterKey }{m}), log.String(),
	} {
		if strings.Contains(printed, m.Text()) || strings.Contains(printed, fmt.Sprint(raw)) {
			t.Errorf("the key shows in %q", printed)
		}
	}
}

func TestSealOpens(t *testing.T) {
	t.Parallel()
	m, other := newMaster(t), newMaster(t)
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.String().Draw(t, "name")
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		sealed, err := m.Seal(name, plain)
		if err != nil {
			t.Fatalf("Seal: %v", err)
		}
		got, err := m.Open(name, sealed)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("Open gave %x, error %v; sealed was %x", got, err, plain)
		}
		if _, err := m.Open(name+"x", sealed); !errors.Is(err, identity.ErrSealBroken) {
			t.Errorf("Open under another name: %v, want ErrSealBroken", err)
		}
		if _, err := other.Open(name, sealed); !errors.Is(err, identity.ErrWrongMasterKey) {
			t.Errorf("Open with another key: %v, want ErrWrongMasterKey", err)
		}
		changed := bytes.Clone(sealed)
		at := rapid.IntRange(0, len(changed)-1).Draw(t, "changed byte")
		changed[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "changed bit")
		if _, err := m.Open(name, changed); err == nil {
			t.Errorf("Open took bytes changed at %d", at)
		}
		if _, err := m.Open(name, sealed[:at]); !errors.Is(err, identity.ErrSealBroken) {
			t.Errorf("Open of the first %d bytes: %v, want ErrSealBroken", at, err)
		}
	})
}

func TestTheZeroMasterKeyRefuses(t *testing.T) {
	t.Parallel()
	var m identity.MasterKey
	if sealed, err := m.Seal("x", []byte("y")); err == nil {
		t.Errorf("the zero key sealed: %x", sealed)
	}
	if _, err := m.Open("x", make([]byte, 64)); err == nil {
		t.Error("the zero key opened something")
	}
}
