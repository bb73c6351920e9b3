// All of these exist: methods.md 1.1, 1.2 and 2.1; methods.md 2; methods.md 1 rule 2, methods.md
// 2.1, methods.md 1, "Named paragraph"; T1.
// These do not: methods.md 1.3, methods.md 2.1 and
// 2.2; methods.md 1, rules 2 and 3; other.md 1; T3, methods.md 1, "Unnamed".
// Nor does the middle of methods.md 1.1 - 1.3.
