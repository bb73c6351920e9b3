#include "results/database.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/format.h>
#include <sqlite3.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "base/error.h"
#include "base/strings.h"

namespace condense {
namespace {

// What went wrong and what to do about it, by SQLite's primary result code.
std::string Explain(int code, int system_error, const std::string& message) {
  const bool full = code == SQLITE_FULL || system_error == ENOSPC || system_error == EDQUOT ||
                    system_error == EFBIG;
  if (full && (code == SQLITE_FULL || code == SQLITE_IOERR)) {
    return fmt::format(
        "out of space ({}); free some space and start again; finished results are stored",
        system_error != 0 ? std::strerror(system_error) : message);
  }
  switch (code) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return "another process has locked the results database; wait for it to finish or stop it, "
             "then start again";
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return fmt::format("not writable ({}); check the permissions of the file and its folder",
                         message);
    case SQLITE_CANTOPEN:
      return fmt::format("cannot be opened ({}); check the path and the permissions", message);
    case SQLITE_NOTADB:
      return "is not a results database; move the file away, or choose another one with --db";
    case SQLITE_CORRUPT:
      return fmt::format(
          "the results database is damaged ({}); restore a backup, or move the file away to start "
          "afresh",
          message);
    case SQLITE_IOERR:
      return fmt::format("cannot be read or written ({}{}{})", message,
                         system_error != 0 ? ": " : "",
                         system_error != 0 ? std::strerror(system_error) : "");
    case SQLITE_CONSTRAINT:
      return fmt::format("the results database rejects a record: {}", message);
    default:
      return fmt::format("results database: {} (code {})", message, code);
  }
}

// Runs `action`, turning SQLite's exceptions into DataErrors about `path`.
template <class Action>
auto Guarded(const std::filesystem::path& path, SQLite::Database* connection, Action action)
    -> decltype(action()) {
  errno = 0;
  try {
    return action();
  } catch (const SQLite::Exception& error) {
    // SQLite does not keep the system's error on every path; errno still holds it then.
    int system_error = errno;
    if (connection != nullptr && system_error == 0) {
      system_error = ::sqlite3_system_errno(connection->getHandle());
    }
    throw MakeError<DataError>("{}: {}", path.string(),
                               Explain(error.getErrorCode() & 0xFF, system_error, error.what()));
  }
}

void Bind(SQLite::Statement& statement, const std::vector<SqlValue>& values) {
  int index = 0;
  for (const SqlValue& value : values) {
    ++index;
    if (const auto* integer = std::get_if<int64_t>(&value.variant())) {
      statement.bind(index, *integer);
    } else if (const auto* real = std::get_if<double>(&value.variant())) {
      statement.bind(index, *real);
    } else if (const auto* text = std::get_if<std::string>(&value.variant())) {
      statement.bind(index, *text);
    } else if (const auto* blob = std::get_if<Blob>(&value.variant())) {
      statement.bind(index, blob->bytes.data(), static_cast<int>(blob->bytes.size()));
    } else {
      statement.bind(index);
    }
  }
}

std::unique_ptr<SQLite::Database> Connect(const std::filesystem::path& path,
                                          Database::Access access, int busy_timeout) {
  if (access != Database::Access::kRead) {
    const int create = access == Database::Access::kCreate ? SQLite::OPEN_CREATE : 0;
    return std::make_unique<SQLite::Database>(path.string(), SQLite::OPEN_READWRITE | create,
                                              busy_timeout);
  }
  try {
    auto connection =
        std::make_unique<SQLite::Database>(path.string(), SQLite::OPEN_READONLY, busy_timeout);
    connection->execAndGet("SELECT count(*) FROM sqlite_master");
    return connection;
  } catch (const SQLite::Exception& error) {
    // A write-ahead log needs its index file; in a read-only folder or on a full disk it cannot be
    // made. With an empty log the file is complete and nobody can be writing, so it can be read as
    // it is.
    const int code = error.getErrorCode() & 0xFF;
    if (code != SQLITE_CANTOPEN && code != SQLITE_READONLY && code != SQLITE_IOERR) throw;
    std::error_code none;
    const auto logged = std::filesystem::file_size(path.string() + "-wal", none);
    if (!std::filesystem::exists(path) || (!none && logged > 0)) throw;
    std::string uri = "file:";
    for (const char c : std::filesystem::absolute(path).string()) {
      uri += c == '?' || c == '#' || c == '%' ? fmt::format("%{:02X}", c) : std::string(1, c);
    }
    return std::make_unique<SQLite::Database>(
        uri + "?immutable=1", SQLite::OPEN_READONLY | SQLite::OPEN_URI, busy_timeout);
  }
}

}  // namespace

bool SqlRow::Has(const char* column) const {
  for (int i = 0; i < statement_.getColumnCount(); ++i) {
    if (std::string_view(statement_.getColumnName(i)) == column) return true;
  }
  return false;
}
bool SqlRow::IsNull(const char* column) const { return statement_.getColumn(column).isNull(); }
int64_t SqlRow::Integer(const char* column) const {
  return statement_.getColumn(column).getInt64();
}
double SqlRow::Real(const char* column) const { return statement_.getColumn(column).getDouble(); }
std::string SqlRow::Text(const char* column) const {
  return statement_.getColumn(column).getString();
}
std::string SqlRow::Bytes(const char* column) const {
  const SQLite::Column cell = statement_.getColumn(column);
  const void* bytes = cell.getBlob();
  return bytes == nullptr
             ? ""
             : std::string(static_cast<const char*>(bytes), static_cast<size_t>(cell.getBytes()));
}
std::optional<int64_t> SqlRow::OptionalInteger(const char* column) const {
  return IsNull(column) ? std::nullopt : std::optional(Integer(column));
}
std::optional<double> SqlRow::OptionalReal(const char* column) const {
  return IsNull(column) ? std::nullopt : std::optional(Real(column));
}

Database::Database(std::filesystem::path path, Access access,
                   std::chrono::milliseconds busy_timeout)
    : path_(std::move(path)) {
  connection_ = Guarded(path_, nullptr, [&] {
    return Connect(path_, access, static_cast<int>(busy_timeout.count()));
  });
  Script("PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL;");
}

Database::~Database() = default;

void Database::Script(const std::string& statements) {
  Guarded(path_, connection_.get(), [&] { connection_->exec(statements); });
}

int Database::Run(const std::string& sql, const std::vector<SqlValue>& values) {
  return Guarded(path_, connection_.get(), [&] {
    SQLite::Statement statement(*connection_, sql);
    Bind(statement, values);
    return statement.exec();
  });
}

int Database::Insert(const std::string& table, const std::vector<SqlColumn>& columns,
                     const std::string& suffix) {
  std::vector<std::string> names, places;
  std::vector<SqlValue> values;
  for (const SqlColumn& column : columns) {
    names.emplace_back(column.name);
    places.push_back(fmt::format("?{}", names.size()));
    values.push_back(column.value);
  }
  return Run(fmt::format("INSERT INTO {} ({}) VALUES ({}) {}", table, Join(names, ", "),
                         Join(places, ", "), suffix),
             values);
}

int64_t Database::LastId() const { return connection_->getLastInsertRowid(); }

void Database::ForEach(const std::string& sql, const std::vector<SqlValue>& values,
                       const std::function<void(const SqlRow&)>& visit) {
  Guarded(path_, connection_.get(), [&] {
    SQLite::Statement statement(*connection_, sql);
    Bind(statement, values);
    const SqlRow row(statement);
    while (statement.executeStep()) visit(row);
  });
}

std::optional<int64_t> Database::Integer(const std::string& sql,
                                         const std::vector<SqlValue>& values) {
  return Guarded(path_, connection_.get(), [&]() -> std::optional<int64_t> {
    SQLite::Statement statement(*connection_, sql);
    Bind(statement, values);
    if (!statement.executeStep() || statement.getColumn(0).isNull()) return std::nullopt;
    return statement.getColumn(0).getInt64();
  });
}

void Database::UseWriteAheadLog(std::chrono::milliseconds patience) {
  // SQLite does not wait for this lock by itself: two processes may create the file together.
  const auto give_up = std::chrono::steady_clock::now() + patience;
  while (true) {
    try {
      connection_->exec("PRAGMA journal_mode = WAL");
      return;
    } catch (const SQLite::Exception& error) {
      const bool busy = (error.getErrorCode() & 0xFF) == SQLITE_BUSY;
      if (!busy || std::chrono::steady_clock::now() > give_up) {
        Guarded(path_, connection_.get(), [&] { throw error; });
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

Transaction::Transaction(Database& database) : database_(database) {
  database.Script("BEGIN IMMEDIATE");
}

Transaction::~Transaction() {
  // After some errors SQLite has rolled back by itself; then this fails and there is nothing to do.
  if (open_) database_.connection_->tryExec("ROLLBACK");
}

void Transaction::Commit() {
  database_.Script("COMMIT");
  open_ = false;
}

}  // namespace condense
