import assert from "node:assert/strict";
import { test } from "node:test";
import { ask } from "../ask.ts";
import { hubProfiles } from "./profiles.ts";
import { acceptAll, askToken, basic, clientOf, errorCode, hubFor, tokenFor } from "./test-client.ts";

const ci = { username: "ci", password: "secret", repositories: ["acme/app", "acme/team/**"] };
const image = { repository: "library/alpine", tag: "latest", layers: [100] };

test("a request without a token is told where to get one, and for what", async (t) => {
  const hub = await hubFor(t);
  hub.content.addImage(image);
  const ping = await ask(`${hub.url}/v2/`);
  const realm = `realm="${hub.tokenOrigin}/token",service="registry.docker.io"`;
  assert.equal(ping.status, 401);
  assert.equal(ping.headers["www-authenticate"], `Bearer ${realm}`);
  const manifest = await ask(`${hub.url}/v2/library/alpine/manifests/latest`);
  assert.equal(manifest.status, 401);
  assert.equal(manifest.headers["www-authenticate"], `Bearer ${realm},scope="repository:library/alpine:pull"`);
  assert.equal(manifest.headers["docker-ratelimit-source"], "127.0.0.1");
  assert.deepEqual(JSON.parse(manifest.body.toString()), {
    errors: [
      {
        code: "UNAUTHORIZED",
        message: "authentication required",
        detail: [{ Type: "repository", Class: "", Name: "library/alpine", Action: "pull" }],
      },
    ],
  });
});

test("a token opens its repository and no other", async (t) => {
  const hub = await hubFor(t);
  hub.content.addImage(image);
  hub.content.addImage({ ...image, repository: "library/busybox" });
  const token = await tokenFor(hub, "library/alpine");
  const headers = { authorization: `Bearer ${token}`, accept: acceptAll };
  const [ping, own, other] = await Promise.all([
    ask(`${hub.url}/v2/`, { headers }),
    ask(`${hub.url}/v2/library/alpine/manifests/latest`, { headers }),
    ask(`${hub.url}/v2/library/busybox/manifests/latest`, { headers }),
  ]);
  assert.deepEqual([ping.status, own.status, other.status], [200, 200, 401]);
  assert.match(other.headers["www-authenticate"] ?? "", /error="insufficient_scope"/);
});

test("a token tells Docker Hub's claims and expires", async (t) => {
  const hub = await hubFor(t, { tokenLifetimeSec: 60 });
  hub.content.addImage(image);
  const answer = JSON.parse((await askToken(hub, "library/alpine")).body.toString()) as Record<string, string>;
  assert.equal(answer["token"], answer["access_token"]);
  assert.equal(answer["expires_in"], 60);
  const payload = Buffer.from(answer["token"]?.split(".")[1] ?? "", "base64url").toString();
  const claims = JSON.parse(payload) as { access: unknown; exp: number; iat: number; nbf: number; sub: string };
  assert.deepEqual([claims.exp - claims.iat, claims.iat - claims.nbf, claims.sub], [60, 300, ""]);
  const parameters = { pull_limit: "100", pull_limit_interval: "21600" };
  assert.deepEqual(claims.access, [{ type: "repository", name: "library/alpine", actions: ["pull"], parameters }]);
  const client = await clientOf(hub, "library/alpine");
  assert.equal((await client.head("manifests/latest")).status, 200);
  hub.advance(61_000);
  const late = await client.head("manifests/latest");
  assert.equal(late.status, 401);
  assert.match(late.headers["www-authenticate"] ?? "", /error="invalid_token"/);
});

test("a missing repository and a private one look the same", async (t) => {
  const hub = await hubFor(t, { accounts: [ci] });
  hub.content.addImage({ ...image, repository: "acme/app", private: true });
  for (const repository of ["acme/app", "acme/absent", "alpine"]) {
    const refused = await (await clientOf(hub, repository)).get("manifests/latest");
    assert.equal(refused.status, 401);
    assert.equal(errorCode(refused), "UNAUTHORIZED");
    assert.match(refused.headers["www-authenticate"] ?? "", /error="insufficient_scope"/);
  }
  assert.equal((await (await clientOf(hub, "acme/app", ci)).get("manifests/latest")).status, 200);
  assert.equal(hub.ledger.count({ account: "ci", kind: "manifest_get", status: 200 }), 1);
});

test("an account sees the repositories below its patterns", async (t) => {
  const hub = await hubFor(t, { accounts: [ci] });
  hub.content.addImage({ ...image, repository: "acme/team/tool", private: true });
  hub.content.addImage({ ...image, repository: "acme/secret", private: true });
  assert.equal((await (await clientOf(hub, "acme/team/tool", ci)).head("manifests/latest")).status, 200);
  assert.equal((await (await clientOf(hub, "acme/secret", ci)).head("manifests/latest")).status, 401);
});

test("wrong passwords are 401, and too many of them lock the username for a while", async (t) => {
  const hub = await hubFor(t, { accounts: [ci], loginFailuresMax: 3 });
  hub.content.addImage(image);
  const wrong = { ...ci, password: "guess" };
  const statuses = [];
  for (let attempt = 0; attempt < 4; attempt++) statuses.push((await askToken(hub, "library/alpine", wrong)).status);
  assert.deepEqual(statuses, [401, 401, 401, 429]);
  assert.equal((await askToken(hub, "library/alpine", ci)).status, 429);
  hub.advance(601_000);
  assert.equal((await askToken(hub, "library/alpine", ci)).status, 200);
});

test("tokens can be had by OAuth2 POST, and again by refresh token", async (t) => {
  const hub = await hubFor(t, { accounts: [ci] });
  hub.content.addImage({ ...image, repository: "acme/app", private: true });
  const scope = "repository:acme/app:pull";
  const post = async (form: Record<string, string>) => {
    const body = new URLSearchParams({ ...form, scope, service: "registry.docker.io", client_id: "test" }).toString();
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    return ask(`${hub.tokenOrigin}/token`, { method: "POST", headers, body });
  };
  const { username, password } = ci;
  const first = await post({ grant_type: "password", username, password, access_type: "offline" });
  const { refresh_token: refreshToken = "" } = JSON.parse(first.body.toString()) as Record<string, string>;
  const second = await post({ grant_type: "refresh_token", refresh_token: refreshToken });
  const { access_token: token } = JSON.parse(second.body.toString()) as Record<string, string>;
  const headers = { authorization: `Bearer ${token}`, accept: acceptAll };
  assert.equal((await ask(`${hub.url}/v2/acme/app/manifests/latest`, { headers })).status, 200);
  hub.knobs.tokenPostStatus = 405;
  assert.equal((await post({ grant_type: "password", username, password })).status, 405);
});

test("the token endpoint answers in the forms that are about", async (t) => {
  const hub = await hubFor(t, { tokenField: "access_token", tokenExpiresIn: false, tokenIssuedAt: false });
  hub.content.addImage(image);
  const fields = async () => Object.keys(JSON.parse((await askToken(hub, "library/alpine")).body.toString()) as object);
  assert.deepEqual(await fields(), ["access_token"]);
  hub.knobs.tokenField = "token";
  assert.deepEqual(await fields(), ["token"]);
  hub.knobs.tokenStatus = 403;
  assert.equal((await askToken(hub, "library/alpine")).status, 403);
  hub.knobs.tokenStatus = undefined;
  hub.knobs.tokenDeniedStatus = 403;
  assert.equal((await askToken(hub, "library/absent")).status, 403);
  assert.equal((await askToken(hub, "library/alpine")).status, 200);
});

test("challenges come in the forms that are about", async (t) => {
  const hub = await hubFor(t, { ...hubProfiles.nvcr });
  const challenge = async (path: string) => (await ask(`${hub.url}/v2/${path}`)).headers["www-authenticate"];
  const realm = `${hub.tokenOrigin}/token?scope=repository:acme/app:pull,push`;
  assert.equal(await challenge("acme/app/manifests/1"), `Bearer realm="${realm}"`);
  Object.assign(hub.knobs, { realmQuery: undefined, ...hubProfiles.ghcr });
  assert.match((await challenge("")) ?? "", /scope="repository:user\/image:pull"/);
  hub.knobs.realm = "http://127.0.0.9/steal";
  assert.match((await challenge("acme/app/manifests/1")) ?? "", /realm="http:\/\/127.0.0.9\/steal"/);
  hub.knobs.challengeOnResource = false;
  assert.equal(await challenge("acme/app/manifests/1"), undefined);
});

test("a Basic registry wants the password itself, an open one nothing", async (t) => {
  const hub = await hubFor(t, { ...hubProfiles.basic, accounts: [ci] });
  const { config } = hub.content.addImage(image);
  const url = `${hub.url}/v2/library/alpine/blobs/${config.digest}`;
  const refused = await ask(url);
  assert.deepEqual([refused.status, refused.headers["www-authenticate"]], [401, 'Basic realm="registry"']);
  assert.equal((await ask(url, { headers: { authorization: basic({ ...ci, password: "guess" }) } })).status, 401);
  assert.equal((await ask(url, { headers: { authorization: basic(ci) } })).status, 200);
  hub.knobs.auth = "none";
  assert.equal((await ask(url)).status, 200);
  assert.equal((await ask(`${hub.url}/v2/library/absent/manifests/1`)).status, 404);
});

test("ECR's tokens are for everything public", async (t) => {
  const hub = await hubFor(t, { ...hubProfiles.ecrPublic });
  const { config } = hub.content.addImage(image);
  const { body } = await ask(`${hub.tokenOrigin}/token/?scope=aws`);
  const { token } = JSON.parse(body.toString()) as Record<string, string>;
  const headers = { authorization: `Bearer ${token}`, accept: acceptAll };
  assert.equal((await ask(`${hub.url}/v2/library/alpine/manifests/latest`, { headers })).status, 200);
  const blob = `${hub.url}/v2/library/alpine/blobs/${config.digest}`;
  assert.equal((await ask(blob, { headers, method: "HEAD" })).status, 401);
  assert.equal((await ask(blob, { headers })).status, 307);
});
