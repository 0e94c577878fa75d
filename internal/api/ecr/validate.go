package ecr

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// Limits of ECR's API model, which its clients do not check.
const (
	maxBatch       = 100  // image ids, layer digests, repository names and media types of one call
	maxRegistryIDs = 10   // of GetAuthorizationToken
	maxPage        = 1000 // maxResults
	maxPartBytes   = 20_971_520
	maxDigestText  = 1000 // of BatchCheckLayerAvailability
)

// The model's patterns as its error messages quote them.
const (
	registryIDPattern = `[0-9]{12}`
	uploadIDPattern   = `[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}`
	regionPattern     = `[0-9a-z-]{2,25}`
	digestPattern     = `[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+`
)

var (
	registryIDRule = regexp.MustCompile(`^` + registryIDPattern + `$`)
	uploadIDRule   = regexp.MustCompile(`^` + uploadIDPattern + `$`)
	regionRule     = regexp.MustCompile(`^` + regionPattern + `$`)
	digestRule     = regexp.MustCompile(`^` + digestPattern + `$`)
)

// repository settles which repository a request is about. This server is one registry; in any other there
// is, as far as it knows, no such repository.
func (f face) repository(name, registryID *string) (string, error) {
	s, err := required("repositoryName", name)
	if err != nil {
		return "", err
	}
	if _, err := oci.ParseRepositoryName(s); err != nil {
		return "", err
	}
	if registryID == nil {
		return s, nil
	}
	if err := checkRegistryID("registryId", *registryID); err != nil {
		return "", err
	}
	if *registryID != f.Registry.ID() {
		return "", f.Registry.RepositoryNotFound(s, *registryID)
	}
	return s, nil
}

// repositoryOfARN reads the ARN of a repository of this registry and region.
func (f face) repositoryOfARN(arn *string) (string, error) {
	s, err := required("resourceArn", arn)
	if err != nil {
		return "", err
	}
	ours := strings.Split(f.Registry.ARN(""), ":")
	parts := strings.SplitN(s, ":", len(ours))
	// arn:partition:service:region:account:repository/name; only the account may be another's.
	const account, resource = 4, 5
	if len(parts) != len(ours) || strings.Join(parts[:account], ":") != strings.Join(ours[:account], ":") || !registryIDRule.MatchString(parts[account]) {
		return "", badARN(ours)
	}
	name, ok := strings.CutPrefix(parts[resource], ours[resource])
	if _, err := oci.ParseRepositoryName(name); !ok || err != nil {
		return "", badARN(ours)
	}
	if parts[account] != ours[account] {
		return "", f.Registry.RepositoryNotFound(name, parts[account])
	}
	return name, nil
}

func badARN(ours []string) error {
	return fault.BadParameter("resourceArn", fmt.Sprintf("must be the ARN of a repository of this registry: %s<name>", strings.Join(ours, ":")))
}

func checkRegistryID(parameter, id string) error {
	if !registryIDRule.MatchString(id) {
		return mustMatch(parameter, registryIDPattern)
	}
	return nil
}

// required gives the value of a member that must be there.
func required[T any](parameter string, v *T) (T, error) {
	if v == nil {
		var zero T
		return zero, fault.BadParameter(parameter, "Member must not be null")
	}
	return *v, nil
}

// batch checks a list that must be there and hold 1 to most items.
func batch[T any](parameter string, list []T, most int) error {
	switch {
	case list == nil:
		return fault.BadParameter(parameter, "Member must not be null")
	case len(list) < 1:
		return fault.BadParameter(parameter, "Member must have length greater than or equal to 1")
	case len(list) > most:
		return fault.BadParameter(parameter, fmt.Sprintf("Member must have length less than or equal to %d", most))
	}
	return nil
}

// optionalBatch is batch for a list that may be absent.
func optionalBatch[T any](parameter string, list []T, most int) error {
	if list == nil {
		return nil
	}
	return batch(parameter, list, most)
}

// page checks maxResults and reads both members of paging; a limit of 0 means the usual one.
func page(maxResults *int32, nextToken *string) (limit int, token string, err error) {
	if nextToken != nil {
		token = *nextToken
	}
	switch {
	case maxResults == nil:
		return 0, token, nil
	case *maxResults < 1:
		return 0, "", fault.BadParameter("maxResults", "Member must have value greater than or equal to 1")
	case *maxResults > maxPage:
		return 0, "", fault.BadParameter("maxResults", "Member must have value less than or equal to 1000")
	}
	return int(*maxResults), token, nil
}

// notPaged refuses the members of paging in a request that names what it wants.
func notPaged(list string, maxResults *int32, nextToken *string) error {
	switch {
	case maxResults != nil:
		return fault.BadParameter("maxResults", "must be absent when "+list+" is given")
	case nextToken != nil:
		return fault.BadParameter("nextToken", "must be absent when "+list+" is given")
	}
	return nil
}

// oneOf checks an enumerated member; the empty value is its absence.
func oneOf[T ~string](parameter string, v T, values []T) error {
	if v == "" {
		return nil
	}
	names := make([]string, len(values))
	for i, known := range values {
		if v == known {
			return nil
		}
		names[i] = string(known)
	}
	return fault.BadParameter(parameter, "Member must satisfy enum value set: ["+strings.Join(names, ", ")+"]")
}

// digest reads a member that must be a digest.
func digest(parameter string, v *string) (oci.Digest, error) {
	s, err := required(parameter, v)
	if err != nil {
		return "", err
	}
	d, err := oci.ParseDigest(s)
	switch {
	case err == nil:
		return d, nil
	case !digestRule.MatchString(s):
		return "", mustMatch(parameter, digestPattern)
	default:
		return "", fault.BadParameter(parameter, err.Error()) // the model would take it, this registry cannot
	}
}

func uploadID(v *string) (string, error) {
	s, err := required("uploadId", v)
	if err == nil && !uploadIDRule.MatchString(s) {
		err = mustMatch("uploadId", uploadIDPattern)
	}
	return s, err
}

func mustMatch(parameter, pattern string) *fault.Error {
	return fault.BadParameter(parameter, "must satisfy regular expression '"+pattern+"'")
}
