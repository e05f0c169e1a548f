// Runs before every npm script. The scripts need the Node that the lockfile pins (npm puts it first on
// the path of its scripts), so that a machine with an older Node of its own builds the same thing.
const wanted = [22, 12];
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < wanted[0] || (major === wanted[0] && minor < wanted[1])) {
  console.error(
    `This needs Node ${wanted.join(".")} or newer, and found ${process.versions.node}.\n` +
      "Run it as an npm script (npm run …, npm test) after `npm ci`: that brings the right Node along.",
  );
  process.exit(2);
}
