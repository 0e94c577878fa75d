package inventory

import (
	"fmt"
	"slices"
	"strings"
)

// PURL names a package for other programs (package-url/purl-spec), with the qualifiers arch, distro and epoch where there is something
// to say. Names keep their case where advisories are
// particular about it (Go, npm, Composer).
func PURL(f Found, os OS) string {
	namespace, name, version := "", f.Name, f.Version
	var qualifiers []string
	qualify := func(key, value string) {
		if value != "" {
			qualifiers = append(qualifiers, key+"="+escape(value, ""))
		}
	}
	switch f.Type {
	case Deb, APK, RPM:
		namespace = vendor(os)
		qualify("arch", f.Arch)
		if os.ID != "" {
			qualify("distro", strings.ToLower(strings.TrimSuffix(os.ID+"-"+os.VersionID, "-")))
		}
		if epoch, rest, ok := strings.Cut(version, ":"); ok && f.Type == RPM && strings.Trim(epoch, "0123456789") == "" {
			version = rest
			qualify("epoch", epoch)
		}
		if f.Type != RPM {
			name = strings.ToLower(name)
		}
	case PyPI:
		name = f.Source // normalised
	case Maven:
		if group, artifact, ok := strings.Cut(name, ":"); ok {
			namespace, name = group, artifact
		}
	case NPM, Go, Composer:
		if i := strings.LastIndexByte(name, '/'); i > 0 {
			namespace, name = name[:i], name[i+1:]
		}
	case Gem, Cargo, NuGet: // a name alone
	}
	var b strings.Builder
	b.WriteString("pkg:" + string(f.Type) + "/")
	if namespace != "" {
		b.WriteString(escape(namespace, "/") + "/")
	}
	b.WriteString(escape(name, ""))
	if version != "" {
		b.WriteString("@" + escape(version, ""))
	}
	slices.Sort(qualifiers)
	if len(qualifiers) > 0 {
		b.WriteString("?" + strings.Join(qualifiers, "&"))
	}
	return b.String()
}

// vendor is the namespace of a distribution's packages.
func vendor(os OS) string {
	id := strings.ToLower(os.ID)
	switch {
	case id == "rhel":
		return "redhat"
	case strings.HasPrefix(id, "opensuse"):
		return "opensuse"
	case id == "sles", id == "sled", id == "sles_sap":
		return "suse"
	}
	return id
}

// escape writes bytes as %XX, but those that the specification leaves as they are, the colon, and those in plain.
func escape(s, plain string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte(".-_~:"+plain, c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
