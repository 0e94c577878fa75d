package pullthrough

import (
	"net/netip"
	"net/url"
	"regexp"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// known are the registries that ECR knows by name. A host that begins with a dot stands for those below it.
var known = []struct {
	kind  Kind
	hosts []string
}{
	{"ecr", []string{".dkr.ecr.amazonaws.com"}}, // with a region inside, see kindOf
	{"ecr-public", []string{"public.ecr.aws"}},
	{"quay", []string{"quay.io"}},
	{"k8s", []string{"registry.k8s.io"}},
	{DockerHub, []string{"registry-1.docker.io", "docker.io", "index.docker.io"}},
	{"github-container-registry", []string{"ghcr.io"}},
	{"gitlab-container-registry", []string{"registry.gitlab.com"}},
	{"azure-container-registry", []string{".azurecr.io"}},
	{"chainguard", []string{"cgr.dev"}},
}

// amazon is the host of a registry of Amazon's ECR.
var amazon = regexp.MustCompile(`^[0-9]{12}\.dkr\.ecr(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?$`)

// kindOf tells what kind of registry a host is, or "".
func kindOf(host string) Kind {
	if amazon.MatchString(host) {
		return "ecr"
	}
	for _, k := range known {
		for _, h := range k.hosts {
			if host == h || strings.HasPrefix(h, ".") && strings.HasSuffix(host, h) {
				return k.kind
			}
		}
	}
	return ""
}

// settleKind checks an upstream and finds its kind. ECR takes the registries that it knows and no others; here
// any is good, under any kind that is not another's: docker-hub may be said of a mirror of Docker Hub.
func settleKind(upstream string, said Kind) (Kind, error) {
	u, err := parseUpstream(upstream)
	if err != nil {
		return "", err
	}
	is := kindOf(u.Hostname())
	if said == "" || said == is {
		return is, nil
	}
	if is != "" {
		return "", fault.New(fault.UpstreamUnsupported, "The upstream registry '%s' is '%s', not '%s'", upstream, is, said)
	}
	return said, nil
}

// parseUpstream reads host, host:port, or either with a scheme before it; without one it is https.
func parseUpstream(upstream string) (*url.URL, error) {
	refused := func(why string) error {
		return fault.New(fault.UpstreamUnsupported, "The upstream registry '%s' is not supported: %s", upstream, why)
	}
	text := upstream
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || len(upstream) > 300:
		return nil, refused("it must be a host, such as registry.example.com or registry.example.com:5000")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, refused("it is asked by http or https")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/":
		return nil, refused("it must be a host alone; upstreamRepositoryPrefix says where its repositories are")
	}
	// What serves a machine's own credentials, on every cloud, is no registry.
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && (ip.Unmap().IsLinkLocalUnicast() || ip.IsUnspecified() || ip.IsMulticast()) {
		return nil, refused("no registry has such an address")
	}
	u.Path = ""
	return u, nil
}

// address gives the URL at which an upstream answers.
func address(upstream string) (string, error) {
	u, err := parseUpstream(upstream)
	if err != nil {
		return "", err
	}
	if kindOf(u.Hostname()) == DockerHub { // what people call it is not where it is
		u.Host = "registry-1.docker.io"
	}
	return u.String(), nil
}

// Credentials are what an upstream is asked with. A Username that is an AWS access key id, with its secret access
// key as the Password, means a registry that speaks ECR's API: Amazon's, or another Berth.
type Credentials struct{ Username, Password string }

// secretARN is the ARN of a secret in AWS Secrets Manager, which is how ECR's API names one.
var secretARN = regexp.MustCompile(`^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]*:[0-9]{12}:secret:([a-zA-Z0-9/_+=.@-]+)$`)

// suffix is what Secrets Manager puts behind the name of a secret in its ARN.
var suffix = regexp.MustCompile(`-[a-zA-Z0-9]{6}$`)

// credentials finds the secret that an ARN names; an empty ARN names none.
func (c *Cache) credentials(arn string) (Credentials, error) {
	if arn == "" {
		return Credentials{}, nil
	}
	m := secretARN.FindStringSubmatch(arn)
	if m == nil || len(arn) > 612 {
		return Credentials{}, fault.BadParameter("credentialArn",
			"must be the ARN of a secret, arn:aws:secretsmanager:<region>:<account>:secret:<name in the configuration's secrets>")
	}
	name := m[1]
	if s, ok := c.secrets[name]; ok {
		return s, nil
	}
	if s, ok := c.secrets[suffix.ReplaceAllString(name, "")]; ok {
		return s, nil
	}
	return Credentials{}, fault.New(fault.SecretNotFound, "The secret '%s' is not among the secrets of the server's configuration", name)
}

// endpoint is where and as whom a rule's upstream is asked.
func (c *Cache) endpoint(r Rule) (Endpoint, error) {
	url, err := address(r.Upstream)
	if err != nil {
		return Endpoint{}, err
	}
	secret, err := c.credentials(r.Credential)
	return Endpoint{URL: url, Credentials: secret}, err
}

func isName(s string) bool {
	_, err := oci.ParseRepositoryName(s)
	return err == nil
}
