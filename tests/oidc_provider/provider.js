// An identity provider for tests: `node provider.js CONFIGURATION.json` serves until it is killed. Everybody may sign
// in, with any password; the name before the @ is the user's, and what follows it are their groups: alice@lasers,staff.
import { readFileSync } from "node:fs";
import Provider from "oidc-provider";

const { port, redirectUris, keys } = JSON.parse(readFileSync(process.argv[2], "utf-8"));

function describeUser(account) {
  const [name, groups] = account.split("@");
  return { preferred_username: name, groups: groups ? groups.split(",") : [] };
}

function makeClient(client_id, grant_types, more = {}) {
  return {
    client_id,
    grant_types,
    response_types: grant_types.includes("authorization_code") ? ["code"] : [],
    redirect_uris: grant_types.includes("authorization_code") ? redirectUris : [],
    ...more,
  };
}

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    makeClient("shotdap", ["authorization_code"], { client_secret: "not so secret: %&" }),
    makeClient("shotdap-login", ["urn:ietf:params:oauth:grant-type:device_code"], {
      token_endpoint_auth_method: "none",
      application_type: "native",
    }),
    makeClient("harvester", ["client_credentials"], { client_secret: "harvest" }),
    makeClient("stranger", ["client_credentials"], { client_secret: "strange" }),
  ],
  jwks: { keys },
  cookies: { keys: ["cookies"] },
  scopes: ["openid", "profile"],
  claims: { openid: ["sub"], profile: ["preferred_username", "groups"] },
  findAccount: (_context, account) => ({
    accountId: account,
    claims: () => ({ sub: account, ...describeUser(account) }),
  }),
  extraTokenClaims: (_context, token) => (token.accountId ? describeUser(token.accountId) : {}),
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    devInteractions: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_context, resource) => ({
        scope: "",
        audience: resource,
        accessTokenFormat: "jwt",
        jwt: { sign: { alg: "RS256" } },
      }),
      useGrantedResource: () => true,
    },
  },
});
provider.listen(port, "127.0.0.1", () => console.log(`Port ${port}`));
