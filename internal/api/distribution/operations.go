package distribution

import "slices"

// Face is what those who count requests call this API.
const Face = "registry"

// nouns are what paths name, in the words of the operations' names.
var nouns = [...]string{
	kindBase: "base", kindCatalog: "catalog", kindToken: "token", kindBlob: "blob", kindUploads: "uploads", kindUpload: "upload",
	kindManifest: "manifest", kindTags: "tags", kindReferrers: "referrers",
}

// operations name the routes, each in its place.
var operations = func() (names [len(routes)]string) {
	for i, r := range routes {
		names[i] = r.method + " " + nouns[r.kind]
	}
	return names
}()

// Operations are the names of all that can be asked for here, such as "GET manifest".
func Operations() []string { return slices.Clone(operations[:]) }
