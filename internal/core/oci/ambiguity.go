package oci

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// The members that this package reads, of a manifest and of a descriptor.
const (
	manifestMembers   = "schemaVersion mediaType artifactType config layers manifests subject annotations fsLayers"
	descriptorMembers = "mediaType digest size urls annotations artifactType"
	descriptorHolders = "config layers manifests subject"
)

// refuseAmbiguity refuses JSON that two clients may read as two manifests, under one digest: a member that
// stands twice in its object, of which some take the first and some the last, and a member spelled like one
// of ours but for the case, which Go's decoder takes for it and others do not.
//
// The bytes must be valid JSON (and json.Valid bounds how deep they nest).
func refuseAmbiguity(raw []byte) error {
	if !bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{")) {
		return fault.New(fault.ManifestInvalid, "manifest is not a JSON object")
	}
	w := memberWalk{
		dec: json.NewDecoder(bytes.NewReader(raw)), manifest: strings.Fields(manifestMembers),
		descriptor: strings.Fields(descriptorMembers), holders: strings.Fields(descriptorHolders),
	}
	w.dec.UseNumber() // a number that fits no float is none of our business
	return w.value(w.manifest)
}

// memberWalk reads JSON for the names of its members alone.
type memberWalk struct {
	dec                           *json.Decoder
	manifest, descriptor, holders []string
	inside                        bool // below the manifest itself
}

// value walks over the next value, in whose objects the known names are ours.
func (w memberWalk) value(known []string) error {
	t, err := w.dec.Token()
	switch {
	case err != nil:
		return walkFault(err)
	case t == json.Delim('{'):
		err = w.members(known)
	case t == json.Delim('['):
		for err == nil && w.dec.More() {
			err = w.value(known)
		}
	default:
		return nil
	}
	if err != nil {
		return err
	}
	_, err = w.dec.Token() // the closing bracket
	return walkFault(err)
}

func (w memberWalk) members(known []string) error {
	seen := map[string]bool{}
	for w.dec.More() {
		t, err := w.dec.Token()
		if err != nil {
			return walkFault(err)
		}
		name, _ := t.(string)
		if seen[name] {
			return fault.New(fault.ManifestInvalid, "manifest has the member %q twice in one object", clip(name))
		}
		seen[name] = true
		if slices.ContainsFunc(known, func(k string) bool { return k != name && strings.EqualFold(k, name) }) {
			return fault.New(fault.ManifestInvalid, "manifest has the member %q, which only some clients would read", clip(name))
		}
		below := memberWalk{dec: w.dec, inside: true}
		if !w.inside && slices.Contains(w.holders, name) {
			err = below.value(w.descriptor)
		} else {
			err = below.value(nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func walkFault(err error) error {
	if err == nil {
		return nil
	}
	return fault.Wrap(fault.ManifestInvalid, err, "manifest cannot be read as JSON")
}
