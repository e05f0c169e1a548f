// Starts a program through the native port, as the program itself does, and ends: node start.mjs EXECUTABLE
import { windowsSystem } from "../../../dist/world/windows/system.js";

await windowsSystem().processes.start(process.argv[2]);
