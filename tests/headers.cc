// Nothing: what is precompiled for the tests needs a source file to belong to.
