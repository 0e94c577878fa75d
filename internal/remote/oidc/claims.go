package oidc

import (
	"bytes"
	"io"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/json" // strict: names in their own case, none twice

	"github.com/hoopstat-haus/berth/internal/core/fault"
)

const (
	// skew is how far an issuer's clock may be ahead of ours, for nbf and iat. An end is an end: exp has none.
	skew = time.Minute
	// latest is the last second that has four digits for its year.
	latest = 253402300799
	// maxExponent bounds how long a number becomes when it is written out.
	maxExponent = 400
	// maxShown bounds what of a claim stands in a message.
	maxShown = 200

	// The claims of AWS's own: session tags and source identity.
	tagsClaim           = "https://aws.amazon.com/tags"
	principalTags       = "principal_tags"
	transitiveTagKeys   = "transitive_tag_keys"
	sourceIdentityClaim = "https://aws.amazon.com/source_identity"

	maxTags, maxTagKey, maxTagValue = 50, 128, 256
)

// Claims is what a verified token says.
type Claims struct {
	// Subject is sub, as text: repo:org/app:ref:refs/heads/main
	Subject string
	// Audience is whom the token is for: the first of aud that is among the client ids; or azp, the party that the token
	// was issued to, where the token has it. Then azp must be a client id, as at AWS, and aud may be anything.
	Audience string
	Issuer   string
	AMR      []string
	// IssuedAt is zero where the token does not say.
	IssuedAt, Expires time.Time
	// Values has every claim that is a string, a number, a boolean or a list of those, by its name, as text: numbers in
	// decimal without an exponent. Others are left out. "aud" has only what is among the client ids, so that a condition
	// on it cannot be met by a name that the account did not take; where there is an azp, "aud" is that, and "oaud" the aud
	// of the token.
	Values map[string][]string
	// SessionTags and TransitiveTags are of the claim https://aws.amazon.com/tags, in its nested or its flat form, nil
	// where there is none.
	SessionTags    map[string]string
	TransitiveTags []string
	// SourceIdentity is the claim https://aws.amazon.com/source_identity, or empty.
	SourceIdentity string
}

// parsePayload reads the claims of a token, with numbers as they are written.
func parsePayload(payload []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.SetNumberType(json.UnmarshalJSONNumber)
	var values map[string]any
	err := d.Decode(&values)
	if _, end := d.Token(); err != nil || values == nil || end != io.EOF { //nolint:errorlint // io.EOF comes bare
		return nil, fault.New(fault.IdentityTokenInvalid, "The ID Token provided is not a valid JWT: its claims are not a JSON object")
	}
	return values, nil
}

// readClaims judges the claims of a token whose signature is good.
func readClaims(p Provider, values map[string]any, now time.Time) (Claims, error) {
	issuer, err := required(values, "iss")
	if err != nil {
		return Claims{}, err
	}
	if issuer != p.Issuer {
		return Claims{}, fault.New(fault.IdentityTokenInvalid, "The ID Token provided is of the issuer %s, not of %s", shown(issuer), p.Issuer)
	}
	c := Claims{Issuer: issuer, Values: map[string][]string{}}
	if c.IssuedAt, c.Expires, err = readTimes(values, now); err != nil {
		return Claims{}, err
	}
	if c.Subject, err = required(values, "sub"); err != nil {
		return Claims{}, err
	}
	for name, value := range values {
		if list, ok := texts(value); ok && len(list) > 0 {
			c.Values[name] = list
		}
	}
	if err := c.readAudience(p, values); err != nil {
		return Claims{}, err
	}
	c.AMR = slices.Clone(c.Values["amr"])
	if err := c.readTags(values); err != nil {
		return Claims{}, err
	}
	if value, there := values[sourceIdentityClaim]; there {
		text, ok := value.(string)
		if !ok || text == "" {
			return Claims{}, rejected("the claim " + sourceIdentityClaim + " must be a string")
		}
		c.SourceIdentity = text
	}
	return c, nil
}

// readAudience finds whom the token is for.
func (c *Claims) readAudience(p Provider, values map[string]any) error {
	audience, ok := texts(values["aud"])
	if !ok || len(audience) == 0 {
		return missing("aud")
	}
	if azp, there := values["azp"]; there {
		party, ok := azp.(string)
		if !ok || party == "" {
			return fault.New(fault.IdentityTokenInvalid, "Incorrect token audience: the claim azp must be a string")
		}
		c.Values["oaud"], audience = audience, []string{party}
	}
	taken := slices.DeleteFunc(slices.Clone(audience), func(a string) bool { return !slices.Contains(p.ClientIDs, a) })
	if len(taken) == 0 {
		return fault.New(fault.IdentityTokenInvalid, "Incorrect token audience: the token is for %s, which is not a client ID of the provider",
			shown(strings.Join(audience, ", ")))
	}
	c.Audience, c.Values["aud"] = taken[0], taken
	return nil
}

// readTimes judges exp, nbf and iat (RFC 7519 §4.1).
func readTimes(values map[string]any, now time.Time) (issued, expires time.Time, err error) {
	var notBefore time.Time
	for name, into := range map[string]*time.Time{"exp": &expires, "nbf": &notBefore, "iat": &issued} {
		value, there := values[name]
		if !there {
			continue
		}
		var ok bool
		if *into, ok = date(value); !ok {
			return issued, expires, fault.New(fault.IdentityTokenInvalid, "The claim %s must be a number of seconds since 1970", name)
		}
	}
	switch {
	case expires.IsZero():
		return issued, expires, missing("exp")
	case !now.Before(expires):
		return issued, expires, fault.New(fault.IdentityTokenExpired,
			"Token expired: current date/time %d must be before the expiration date/time %d", now.Unix(), expires.Unix())
	case notBefore.After(now.Add(skew)):
		return issued, expires, fault.New(fault.IdentityTokenInvalid,
			"Token is not valid yet: current date/time %d must not be before %d", now.Unix(), notBefore.Unix())
	case issued.After(now.Add(skew)):
		return issued, expires, fault.New(fault.IdentityTokenInvalid,
			"Token was issued in the future: current date/time %d must not be before the issue date/time %d", now.Unix(), issued.Unix())
	}
	return issued, expires, nil
}

func date(value any) (time.Time, bool) {
	n, ok := value.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	seconds, err := n.Float64()
	if err != nil || seconds < 0 || seconds > latest {
		return time.Time{}, false
	}
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*1e9)).UTC(), true
}

// readTags reads session tags (IAM, "Pass session tags in AWS STS", AssumeRoleWithWebIdentity): nested, as
// {"principal_tags": {"Project": ["x"]}, "transitive_tag_keys": ["Project"]}, or flat, as claims whose names go on with
// /principal_tags/Project and /transitive_tag_keys.
func (c *Claims) readTags(values map[string]any) error {
	given := map[string]any{}
	var transitive []any
	if nested, there := values[tagsClaim]; there {
		object, ok := nested.(map[string]any)
		if !ok {
			return rejected("the claim " + tagsClaim + " must be an object")
		}
		if keys, there := object[transitiveTagKeys]; there {
			transitive = append(transitive, keys)
		}
		if tags, there := object[principalTags]; there {
			named, ok := tags.(map[string]any)
			if !ok {
				return rejected(principalTags + " must be an object")
			}
			maps.Copy(given, named)
		}
	}
	for name, value := range values {
		if key, ok := strings.CutPrefix(name, tagsClaim+"/"+principalTags+"/"); ok {
			if _, twice := given[key]; twice {
				return rejected("the session tag " + shown(key) + " is given twice")
			}
			given[key] = value
		}
	}
	if keys, there := values[tagsClaim+"/"+transitiveTagKeys]; there {
		transitive = append(transitive, keys)
	}
	return c.takeTags(given, transitive)
}

func (c *Claims) takeTags(given map[string]any, transitive []any) error {
	if len(given) > maxTags {
		return rejected("more than " + strconv.Itoa(maxTags) + " session tags")
	}
	for key, value := range given {
		text, ok := value.(string)
		if list, isList := value.([]any); isList && len(list) == 1 {
			text, ok = list[0].(string)
		}
		if !ok || key == "" || len([]rune(key)) > maxTagKey || len([]rune(text)) > maxTagValue {
			return rejected("the session tag " + shown(key) + " must have a key of 1 to " + strconv.Itoa(maxTagKey) +
				" characters and one value of at most " + strconv.Itoa(maxTagValue))
		}
		if c.SessionTags == nil {
			c.SessionTags = map[string]string{}
		}
		c.SessionTags[key] = text
	}
	for _, keys := range transitive {
		list, ok := keys.([]any)
		if !ok || len(list) > maxTags {
			return rejected(transitiveTagKeys + " must be a list of at most " + strconv.Itoa(maxTags) + " keys")
		}
		for _, key := range list {
			text, ok := key.(string)
			if !ok {
				return rejected(transitiveTagKeys + " must be a list of strings")
			}
			if !slices.Contains(c.TransitiveTags, text) {
				c.TransitiveTags = append(c.TransitiveTags, text)
			}
		}
	}
	return nil
}

func required(values map[string]any, name string) (string, error) {
	text, ok := values[name].(string)
	if !ok || text == "" {
		return "", missing(name)
	}
	return text, nil
}

func missing(name string) error {
	return fault.New(fault.IdentityTokenInvalid, "Missing a required claim: %s", name)
}

func rejected(why string) error {
	return fault.New(fault.IdentityTokenRejected, "The token's claims are rejected: %s", why)
}

// shown is a claim as it may stand in a message.
func shown(text string) string {
	if len(text) > maxShown {
		text = text[:maxShown] + "…"
	}
	return strconv.Quote(text)
}

// texts gives the text of a scalar or of a list of them.
func texts(value any) ([]string, bool) {
	switch v := value.(type) {
	case string:
		return []string{v}, true
	case bool:
		return []string{strconv.FormatBool(v)}, true
	case json.Number:
		text, ok := decimal(v.String())
		return []string{text}, ok
	case []any:
		all := make([]string, 0, len(v))
		for _, element := range v {
			if _, nested := element.([]any); nested {
				return nil, false
			}
			text, ok := texts(element)
			if !ok {
				return nil, false
			}
			all = append(all, text...)
		}
		return all, true
	}
	return nil, false
}

// decimal writes a JSON number without an exponent, exactly, and leaves one alone that has none.
func decimal(number string) (string, bool) {
	mantissa, exponent, found := strings.Cut(strings.ToLower(number), "e")
	if !found {
		return number, true
	}
	e, err := strconv.Atoi(exponent)
	if err != nil || e > maxExponent || e < -maxExponent {
		return "", false
	}
	exact, ok := new(big.Rat).SetString(number)
	if !ok {
		return "", false
	}
	if exact.IsInt() {
		return exact.Num().String(), true
	}
	_, fraction, _ := strings.Cut(mantissa, ".")
	return strings.TrimRight(exact.FloatString(max(0, len(fraction)-e)), "0"), true
}
