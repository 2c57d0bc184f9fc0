/** The package: what is in it, and that it installs into an empty folder, has types there, and works. */

import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { compile, done, SDK } from "./command.js";
import { onServer, outputOf } from "./house.js";

const folder = mkdtempSync(join(tmpdir(), "steplane-package-"));
after(() => {
  rmSync(folder, { recursive: true });
});

onServer("the package has what it needs, installs into an empty folder, and works there", [], async (house) => {
  const { path, files } = packed();
  const expected = readdirSync(join(SDK, "src"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .flatMap((name) => [name.replace(/ts$/, "js"), name.replace(/ts$/, "d.ts")].map((made) => `dist/src/${made}`));
  const surplus = files.filter((name) => !expected.includes(name));
  const hint = "files of an older build are deleted by node scripts/clean.mjs";
  assert.deepEqual(surplus, ["LICENSE", "README.md", "package.json"], hint);
  assert.equal(files.length, expected.length + surplus.length);

  writeFileSync(join(folder, "package.json"), '{ "private": true }');
  done(folder, "npm", "install", "--prefer-offline", "--no-audit", "--no-fund", path);
  for (const name of expected.filter((each) => each.endsWith(".js"))) {
    assert.doesNotMatch(readFileSync(join(folder, "node_modules", "steplane", name), "utf8"), /sourceMappingURL/);
  }
  cpSync(join(SDK, "test", "consumer"), folder, { recursive: true });
  compile(folder, "--typeRoots", join(SDK, "node_modules", "@types"), "--types", "node", "typed.mts");

  for (const name of ["plain", "typed"]) {
    const program = house.program(join(folder, `${name}.mjs`));
    await program.heard("connected to Steplane");
    const [id = ""] = await house.app(name).send({ name: `${name}/greet`, data: { name: "ada" } });
    assert.equal(outputOf(await house.ended(id)), "hello ada");
    assert.equal(await program.ended("SIGTERM"), 0);
  }
});

/** Pack what is built: the path of the package, and the files in it. */
function packed(): { path: string; files: string[] } {
  const answer = done(SDK, "npm", "pack", "--json", "--ignore-scripts", "--pack-destination", folder);
  const [{ filename = "", files = [] } = {}] = JSON.parse(answer) as {
    filename?: string;
    files?: { path: string }[];
  }[];
  return { path: join(folder, filename), files: files.map((each) => each.path).sort() };
}
