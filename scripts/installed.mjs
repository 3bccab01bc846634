// Answers by its exit code whether node_modules holds exactly what package-lock.json asks for on this machine.
// It spares a long `npm install` when packages were installed by hand or only the scripts of package.json changed.
// Plain JavaScript, because any Node may run it.
import { existsSync, readFileSync } from "node:fs";

const read = (path) => JSON.parse(readFileSync(new URL(`../${path}`, import.meta.url), "utf8")).packages;
const wanted = read("package-lock.json");
const present = read("node_modules/.package-lock.json");
const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));

const same = (left = {}, right = {}) => JSON.stringify(left) === JSON.stringify(right);
const root = wanted[""];
const lockMatches =
  same(manifest.dependencies, root.dependencies) &&
  same(manifest.devDependencies, root.devDependencies) &&
  same(manifest.optionalDependencies, root.optionalDependencies);

const packagesMatch = Object.entries(wanted).every(([path, { version, optional }]) => {
  if (path === "") return true;
  const found = present[path];
  if (found === undefined) return optional === true;
  return found.version === version && existsSync(new URL(`../${path}/package.json`, import.meta.url));
});

process.exitCode = lockMatches && packagesMatch ? 0 : 1;
