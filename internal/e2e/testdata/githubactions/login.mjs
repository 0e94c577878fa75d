// What aws-actions/configure-aws-credentials and aws-actions/amazon-ecr-login call, with the SDKs that they bundle. Where the
// server is stands in AWS_ENDPOINT_URL alone. It prints one line of JSON.
import { readFileSync } from "node:fs";
import { ECRClient, GetAuthorizationTokenCommand } from "@aws-sdk/client-ecr";
import { AssumeRoleCommand, AssumeRoleWithWebIdentityCommand, GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import { fromTokenFile } from "@aws-sdk/credential-providers";

const { ROLE, TOKEN_FILE, REFUSED_TOKEN_FILE, KEY_ID, KEY_SECRET, KEY_ROLE, ACCOUNT } = process.env;
const region = process.env.AWS_REGION;
const seen = {};

const who = async (credentials) => (await new STSClient({ region, credentials }).send(new GetCallerIdentityCommand({}))).Arn;
const keys = ({ AccessKeyId, SecretAccessKey, SessionToken }) =>
  ({ accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: SessionToken });

// configure-aws-credentials with role-to-assume, in a job that has an OIDC token: no credentials at all.
const exchange = (file) => new STSClient({ region }).send(new AssumeRoleWithWebIdentityCommand({
  RoleArn: ROLE, RoleSessionName: "GitHubActions", DurationSeconds: 3600, WebIdentityToken: readFileSync(file, "utf8"),
}));
const web = await exchange(TOKEN_FILE);
seen.web = { arn: web.AssumedRoleUser.Arn, subject: web.SubjectFromWebIdentityToken, provider: web.Provider, who: await who(keys(web.Credentials)) };

// The same by the environment that such jobs have: AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN.
seen.tokenFile = await who(fromTokenFile({ webIdentityTokenFile: TOKEN_FILE, roleArn: ROLE, roleSessionName: "file", clientConfig: { region } }));

try {
  await exchange(REFUSED_TOKEN_FILE);
} catch (e) {
  seen.refused = { name: e.name, message: e.message, status: e.$metadata.httpStatusCode };
}

// configure-aws-credentials with lasting keys and role-to-assume: a session with the action's tags.
const lasting = { accessKeyId: KEY_ID, secretAccessKey: KEY_SECRET };
const names = ["GitHub", "Repository", "Workflow", "Action", "Actor", "Commit", "Branch", "Environment", "RunId", "RunAttempt", "Job", "Event", "Ref"];
const tagged = await new STSClient({ region, credentials: lasting }).send(new AssumeRoleCommand({
  RoleArn: KEY_ROLE, RoleSessionName: "GitHubActions", DurationSeconds: 3600,
  Tags: names.map((Key) => ({ Key, Value: `my-org/app.${Key}` })), TransitiveTagKeys: names,
}));
seen.tagged = { arn: tagged.AssumedRoleUser.Arn, packed: tagged.PackedPolicySize, who: await who(keys(tagged.Credentials)) };

// amazon-ecr-login, without and with `registries`.
const ecr = new ECRClient({ region, credentials: keys(web.Credentials) });
seen.logins = [];
for (const input of [{}, { registryIds: [ACCOUNT] }]) {
  const { authorizationData } = await ecr.send(new GetAuthorizationTokenCommand(input));
  for (const { authorizationToken, proxyEndpoint } of authorizationData) {
    const [user, password] = Buffer.from(authorizationToken, "base64").toString("utf8").split(":", 2);
    seen.logins.push({ user, password, proxyEndpoint });
  }
}
console.log(JSON.stringify(seen));
