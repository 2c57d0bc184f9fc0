/** What the package exports. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import ts from "typescript";
import { SDK } from "./command.js";

test("every public name, and each of its members, says what it is", () => {
  const path = join(SDK, "dist", "src", "index.d.ts");
  const program = ts.createProgram([path], { module: ts.ModuleKind.NodeNext, skipLibCheck: true, types: [] });
  const checker = program.getTypeChecker();
  const file = program.getSourceFile(path);
  const exported = file === undefined ? undefined : checker.getSymbolAtLocation(file);
  assert(exported);
  const silent = (symbol: ts.Symbol): boolean => symbol.getDocumentationComment(checker).length === 0;
  const found = checker.getExportsOfModule(exported).flatMap((name) => {
    const symbol = name.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(name) : name;
    const members = [...(symbol.members?.values() ?? [])].filter(isNamed);
    return [symbol, ...members].filter(silent).map((each) => `${name.name}: ${each.name}`);
  });
  assert.deepEqual(found, []);
});

/** Whether a member can be asked for by a name of its own. */
function isNamed(member: ts.Symbol): boolean {
  const declaration = member.declarations?.[0];
  if (declaration === undefined || ts.isConstructorDeclaration(declaration)) return false;
  return !ts.isTypeParameterDeclaration(declaration) && !/^(__|#)/.test(member.name);
}
