// The tables of the results database and how an older one is brought up to date.
//
// A migration that has been released is never edited; a change of the schema is a new one at the
// end of the list. `PRAGMA user_version` is the number of migrations applied.
#pragma once

#include <string>
#include <vector>

#include "results/database.h"

namespace condense {

struct Migration {
  int version;
  std::string sql;
};

// Versions 1, 2, ... without gaps.
const std::vector<Migration>& AllMigrations();

// Applies what is missing, all or nothing. DataError if the file belongs to another program or to a
// newer version of this one. Safe if several processes do it at the same time.
void Migrate(Database& database, const std::vector<Migration>& migrations = AllMigrations());

// For reading. An older version serves as it is, because what was added since are tables that only
// writers read. DataError if the database is newer, of another program or empty.
void RequireReadableVersion(Database& database);

}  // namespace condense
