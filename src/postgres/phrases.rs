//! PostgreSQL's refusals of a connection, and what a standby ends a query or a connection with, in the languages it
//! speaks.
//!
//! A failed query carries the name of its SQLSTATE (`psycopg2.errors.UndefinedTable`) in every language; a refused
//! connection carries only the server's sentence, in the language of the server's `lc_messages`. The sentences are
//! those of PostgreSQL 15's own translations, `%s` stands for a name.

/// What the server said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phrase {
    /// The password is wrong.
    PasswordFailed,
    /// The role does not exist.
    RoleUnknown,
    /// The role exists but has no LOGIN.
    LoginDenied,
    /// The database does not exist.
    DatabaseUnknown,
    /// The role has no CONNECT privilege.
    ConnectDenied,
    /// `ALLOW_CONNECTIONS false`.
    DatabaseClosed,
    /// All of `max_connections` are in use.
    TooManyClients,
    /// Only reserved connections are left.
    SlotsReserved,
    /// The role's `CONNECTION LIMIT`.
    TooManyForRole,
    /// The database's `CONNECTION LIMIT`.
    TooManyForDatabase,
    /// Starting.
    StartingUp,
    /// Stopping.
    ShuttingDown,
    /// Starting as a standby, or one that takes no queries.
    NotYetAccepting,
    /// Recovering from a crash.
    InRecovery,
    /// `pg_terminate_backend`, or a shutdown.
    AdminTerminated,
    /// A standby cancels what is in the way of replication.
    ReplicaConflict,
    /// It was in the way by a lock.
    ReplicaLockConflict,
}

/// Whether `message` has the phrase, in any language; gives the name that it speaks of, or an empty text.
pub(crate) fn find(phrase: Phrase, message: &str) -> Option<&str> {
    let (_, wordings) = WORDINGS.iter().find(|(of, _)| *of == phrase)?;
    // Most languages have letters or quotation marks that English has not.
    let is_ascii = message.is_ascii();
    let mut possible = wordings.iter().filter(|wording| !is_ascii || wording.is_ascii());
    possible.find_map(|wording| capture(wording, message))
}

/// Texts one of which a message has that has the phrase: of each wording the longer part beside the name.
pub(crate) fn texts(phrase: Phrase) -> impl Iterator<Item = &'static str> {
    let wordings = WORDINGS.iter().filter(move |(of, _)| *of == phrase).flat_map(|(_, wordings)| *wordings);
    wordings.map(|wording| wording.split("%s").max_by_key(|part| part.len()).unwrap_or(wording))
}

/// How far behind the words before a name the words after it may begin, in bytes: a name of 63 characters, its quotation
/// marks and a line's end. A message that repeats the words before is not searched to its end for each of them.
const NAME_ROOM: usize = 63 * 4 + 16;

fn capture<'a>(wording: &str, message: &'a str) -> Option<&'a str> {
    let Some((before, after)) = wording.split_once("%s") else {
        return message.contains(wording).then_some("");
    };
    message.match_indices(before).find_map(|(start, _)| {
        let rest = message.get(start + before.len()..)?;
        let rest = rest.get(..rest.floor_char_boundary(NAME_ROOM + after.len()))?;
        let name = if after.is_empty() { rest.split(['\n', ' ']).next()? } else { rest.split_once(after)?.0 };
        let name = name.trim_matches('"').trim_end_matches(['\r', '\n']);
        // A name longer than this, or over a line's end, is not one: the two halves belong to different sentences.
        (!name.is_empty() && name.chars().count() <= 63 && !name.contains('\n')).then_some(name)
    })
}

#[rustfmt::skip]
const WORDINGS: &[(Phrase, &[&str])] = &[
    (Phrase::PasswordFailed, &[
        "password authentication failed for user \"%s\"",
        "Passwort-Authentifizierung für Benutzer »%s« fehlgeschlagen",
        "la autentificación password falló para el usuario «%s»",
        "authentification par mot de passe échouée pour l'utilisateur « %s »",
        "autenticazione con password fallita per l'utente \"%s\"",
        "ユーザー\"%s\"のパスワード認証に失敗しました",
        "პაროლით ავთენტიფიკაცია მომხმარებლისთვის \"%s\" ვერ მოხერხდა",
        "사용자 \"%s\"의 password 인증을 실패했습니다",
        "пользователь \"%s\" не прошёл проверку подлинности (по паролю)",
        "Lösenordsautentisering misslyckades för användare \"%s\"",
        "користувач \"%s\" не пройшов автентифікацію за допомогою пароля",
        "用户 \"%s\" Password 认证失败",
    ]),
    (Phrase::RoleUnknown, &[
        "role \"%s\" does not exist",
        "Rolle »%s« existiert nicht",
        "no existe el rol «%s»",
        "le rôle « %s » n'existe pas",
        "il ruolo \"%s\" non esiste",
        "ロール\"%s\"は存在しません",
        "როლი არ არსებობს: \"%s\"",
        "\"%s\" 롤(role) 없음",
        "роль \"%s\" не существует",
        "rollen \"%s\" finns inte",
        "роль \"%s\" не існує",
        "角色 \"%s\" 不存在",
    ]),
    (Phrase::DatabaseUnknown, &[
        "database \"%s\" does not exist",
        "Datenbank »%s« existiert nicht",
        "no existe la base de datos «%s»",
        "la base de données « %s » n'existe pas",
        "il database \"%s\" non esiste",
        "データベース\"%s\"は存在しません",
        "მონაცემთა ბაზა \"%s\" არ არსებობს",
        "\"%s\" 데이터베이스 없음",
        "база данных \"%s\" не существует",
        "databasen \"%s\" existerar inte",
        "бази даних \"%s\" не існує",
        "数据库 \"%s\" 不存在",
    ]),
    (Phrase::TooManyClients, &[
        "sorry, too many clients already",
        "tut mir leid, schon zu viele Verbindungen",
        "lo siento, ya tenemos demasiados clientes",
        "désolé, trop de clients sont déjà connectés",
        "spiacente, troppi client già connessi",
        "現在クライアント数が多すぎます",
        "უკაცრავად, უკვე მეტისმეტად ბევრი კლიენტია",
        "최대 동시 접속자 수를 초과했습니다.",
        "извините, уже слишком много клиентов",
        "ledsen, för många klienter",
        "вибачте, вже забагато клієнтів",
        "对不起, 已经有太多的客户",
    ]),
    (Phrase::SlotsReserved, &[
        "remaining connection slots are reserved",
        "die verbleibenden Verbindungen sind für Superuser auf Nicht-Replikationsverbindungen reserviert",
        "las conexiones restantes están reservadas a superusuarios y no de replicación",
        "les emplacements de connexions restants sont réservés pour les connexions superutilisateur non relatif à la réplication",
        "i rimanenti slot di connessione sono riservati a connessioni di superutenti non di replica",
        "残りの接続スロットはレプリケーションユーザーではないスーパーユーザー用に予約されています",
        "남은 연결 슬롯은 non-replication 슈퍼유저 연결용으로 남겨 놓았음",
        "оставшиеся слоты подключений зарезервированы для подключений суперпользователя (не для репликации)",
        "resterande anslutningsslottar är reserverade för superuser-anslutningar utan replikering",
        "слоти підключень, які залишились, зарезервовані для підключень суперкористувача (не для реплікації)",
        "已保留的连接位置为执行非复制请求的超级用户预留",
    ]),
    (Phrase::TooManyForRole, &[
        "too many connections for role \"%s\"",
        "zu viele Verbindungen von Rolle »%s«",
        "demasiadas conexiones para el rol «%s»",
        "trop de connexions pour le rôle « %s »",
        "troppe connessioni per il ruolo \"%s\"",
        "ロール\"%s\"からの接続が多すぎます",
        "მეტისმეტად ბევრი კავშირი როლისთვის \"%s\"",
        "\"%s\" 롤의 최대 동시 접속수를 초과했습니다",
        "слишком много подключений для роли \"%s\"",
        "för många uppkopplingar för roll \"%s\"",
        "занадто багато підключень для ролі \"%s\"",
        "由角色\"%s\"发起的连接太多了",
    ]),
    (Phrase::TooManyForDatabase, &[
        "too many connections for database \"%s\"",
        "zu viele Verbindungen für Datenbank »%s«",
        "demasiadas conexiones para la base de datos «%s»",
        "trop de connexions pour la base de données « %s »",
        "troppe connessioni al database \"%s\"",
        "データベース\"%s\"への接続が多すぎます",
        "ძალიან ბევრი კავშირი ბაზისთვის \"%s\"",
        "\"%s\" 데이터베이스 최대 접속수를 초과했습니다",
        "слишком много подключений к БД \"%s\"",
        "för många uppkopplingar till databasen \"%s\"",
        "занадто багато підключень до бази даних \"%s\"",
        "到数据库 \"%s\"的连接太多了",
    ]),
    (Phrase::StartingUp, &[
        "the database system is starting up",
        "das Datenbanksystem startet",
        "el sistema de base de datos está iniciándose",
        "le système de bases de données se lance",
        "il database si sta avviando",
        "データベースシステムは起動処理中です",
        "მიმდინარეობს მონაცემთა ბაზის სისტემის გაშვება",
        "데이터베이스 시스템이 새로 가동 중입니다.",
        "система баз данных запускается",
        "databassystemet startar upp",
        "система бази даних запускається",
        "数据库系统启动中",
    ]),
    (Phrase::ShuttingDown, &[
        "the database system is shutting down",
        "das Datenbanksystem fährt herunter",
        "el sistema de base de datos está apagándose",
        "le système de base de données s'arrête",
        "il database si sta spegnendo",
        "データベースシステムはシャットダウンしています",
        "მონაცემთა ბაზის სისტემა ითიშება",
        "데이터베이스 시스템이 중지 중입니다",
        "система баз данных останавливается",
        "databassystemet stänger ner",
        "система бази даних завершує роботу",
        "数据库系统停止中",
    ]),
    (Phrase::NotYetAccepting, &[
        "the database system is not yet accepting connections",
        "das Datenbanksystem nimmt noch keine Verbindungen an",
        "el sistema de bases de datos aún no está aceptando conexiones",
        "le système de bases de données n'accepte pas encore de connexions",
        "il sistema di database non accetta ancora connessioni",
        "データベースシステムはまだ接続を受け付けていません",
        "მონაცემთა ბაზის სისტემა ჯერ მიერთებებს არ იღებს",
        "해당 데이터베이스 시스템은 아직 접속을 허용하지 않습니다.",
        "система БД ещё не принимает подключения",
        "databassystemet tar ännu inte emot anslutningar",
        "система бази даних ще не приймає підключення",
        "the database system is not accepting connections",
        "das Datenbanksystem nimmt keine Verbindungen an",
        "el sistema de bases de datos no está aceptando conexiones",
        "le système de bases de données n'accepte pas de connexions",
        "il sistema di database non accetta connessioni",
        "データベースシステムは接続を受け付けていません",
        "მონაცემთა ბაზის სისტემა მიერთებებს არ იღებს",
        "해당 데이터베이스 시스템은 접속을 허용하지 않습니다.",
        "система БД не принимает подключения",
        "databassystemet tar inte emot anslutningar",
        "система бази даних не приймає підключення",
    ]),
    (Phrase::InRecovery, &[
        "the database system is in recovery mode",
        "das Datenbanksystem ist im Wiederherstellungsmodus",
        "el sistema de base de datos está en modo de recuperación",
        "le système de bases de données est en cours de restauration",
        "il database è in modalità di ripristino",
        "データベースシステムはリカバリモードです",
        "მონაცემთა ბაზის სისტემა აღდგენის რეჟიმშია",
        "데이터베이스 시스템이 자동 복구 작업 중입니다.",
        "система баз данных в режиме восстановления",
        "databassystemet är återställningsläge",
        "система бази даних у режимі відновлення",
        "数据库系统在恢复模式中",
    ]),
    (Phrase::AdminTerminated, &[
        "terminating connection due to administrator command",
        "Verbindung wird abgebrochen aufgrund von Anweisung des Administrators",
        "terminando la conexión debido a una orden del administrador",
        "arrêt des connexions suite à la demande de l'administrateur",
        "interruzione della connessione su comando dell'amministratore",
        "管理者コマンドにより接続を終了しています",
        "მიერთების შეწყვეტა ადმინისტრატორის ბრძანების გამო",
        "관리자 요청에 의해서 연결을 끝냅니다",
        "закрытие подключения по команде администратора",
        "avslutar anslutning på grund av ett administratörskommando",
        "завершення підключення по команді адміністратора",
        "由于管理员命令中断联接",
    ]),
    (Phrase::DatabaseClosed, &[
        "database \"%s\" is not currently accepting connections",
        "Datenbank »%s« akzeptiert gegenwärtig keine Verbindungen",
        "la base de datos «%s» no acepta conexiones",
        "la base de données « %s » n'accepte plus les connexions",
        "il database \"%s\" attualmente non accetta connessioni",
        "現在データベース\"%s\"は接続を受け付けません",
        "ბაზა \"%s\" ამჟამად მიერთებებს არ იღებს",
        "\"%s\" 데이터베이스는 현재 접속을 허용하지 않습니다",
        "база \"%s\" не принимает подключения в данный момент",
        "databasen \"%s\" tar för närvarande inte emot uppkopplingar",
        "база даних \"%s\" не приймає підключення в даний момент",
        "数据库 \"%s\" 当前不接受联接",
    ]),
    (Phrase::ConnectDenied, &[
        "permission denied for database %s",
        "keine Berechtigung für Datenbank %s",
        "permiso denegado a la base de datos %s",
        "droit refusé pour la base de données %s",
        "permesso negato per il database %s",
        "データベース %s へのアクセスが拒否されました",
        "წვდომა აკრძალულია აგრეგატზე: \"%s\"",
        "%s 데이터베이스 접근 권한 없음",
        "нет доступа к базе данных %s",
        "rättighet saknas för databas %s",
        "немає доступу для бази даних %s",
        "对数据库 %s 权限不够",
    ]),
    (Phrase::LoginDenied, &[
        "role \"%s\" is not permitted to log in",
        "Rolle »%s« hat keine Berechtigung zum Einloggen",
        "al rol «%s» no se le permite conectarse",
        "le rôle « %s » n'est pas autorisé à se connecter",
        "al ruolo \"%s\" non è consentito effettuare il login",
        "ロール\"%s\"はログインが許可されません",
        "როლს შესვლის უფლება არ აქვს: %s",
        "\"%s\" 롤은 접속을 허용하지 않음",
        "для роли \"%s\" вход запрещён",
        "roll \"%s\" tillåts inte logga in",
        "для ролі \"%s\" вхід не дозволений",
        "不允许角色\"%s\" 进行登录",
    ]),
    (Phrase::ReplicaConflict, &[
        "canceling statement due to conflict with recovery",
        "storniere Anfrage wegen Konflikt mit der Wiederherstellung",
        "cancelando la sentencia debido a un conflicto con la recuperación",
        "annulation de la requête à cause d'un conflit avec la restauration",
        "annullamento dell'istruzione a causa di un conflitto con il ripristino",
        "リカバリで競合が発生したためステートメントをキャンセルしています",
        "გამოსახულების გაუქმება აღდგენასთან კონფლიქტის გამო",
        "복구 작업 중 충돌이 발생해 작업을 중지합니다",
        "выполнение оператора отменено из-за конфликта с процессом восстановления",
        "avbryter sats på grund av konflikt med återställning",
        "виконання оператора скасовано через конфлікт з процесом відновлення",
        "由于与恢复操作冲突，正在取消语句命令",
        "terminating connection due to conflict with recovery",
        "Verbindung wird abgebrochen wegen Konflikt mit der Wiederherstellung",
        "terminando la conexión debido a un conflicto con la recuperación",
        "arrêt de la connexion à cause d'un conflit avec la restauration",
        "interruzione della connessione a causa di conflitto con il ripristino",
        "リカバリで競合が発生したため、接続を終了しています",
        "მიერთების შეწყვეტა აღდგენასთან კონფლიქტის გამო",
        "복구 작업 중 충돌로 연결을 끝냅니다",
        "закрытие подключения из-за конфликта с процессом восстановления",
        "avslutar anslutning på grund av konflikt med återställning",
        "завершення підключення через конфлікт з процесом відновлення",
        "由于与恢复操作相冲突而中断连接",
    ]),
    (Phrase::ReplicaLockConflict, &[
        "User was holding a relation lock for too long",
        "Benutzer hat Relationssperre zu lange gehalten",
        "El usuario mantuvo una relación bloqueada por demasiado tiempo",
        "L'utilisateur conservait un verrou sur une relation depuis trop longtemps",
        "L'utente stava trattenendo un lock di relazione troppo a lungo",
        "ユーザーリレーションのロックを長く保持し過ぎていました",
        "사용자가 너무 오랫동안 릴레이션 잠금을 하고 있습니다",
        "Пользователь удерживал блокировку таблицы слишком долго",
        "Användare höll ett relationslås för länge",
        "Користувач утримував блокування відношення занадто довго",
        "用户对一个关系正在持有的锁的时间太长了",
    ]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(Phrase::PasswordFailed, "FATAL:  password authentication failed for user \"pw\"", Some("pw"))]
    #[case(
        Phrase::PasswordFailed,
        "FATAL:  Passwort-Authentifizierung für Benutzer »flag smith« fehlgeschlagen",
        Some("flag smith")
    )]
    #[case(Phrase::DatabaseUnknown, "FATAL:  la base de données « fs » n'existe pas", Some("fs"))]
    #[case(Phrase::RoleUnknown, "FATAL:  роль \"u\" не существует", Some("u"))]
    #[case(Phrase::TooManyClients, "FATAL:  lo siento, ya tenemos demasiados clientes", Some(""))]
    #[case(
        Phrase::SlotsReserved,
        "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
        Some("")
    )]
    #[case(
        Phrase::ConnectDenied,
        "FATAL:  permission denied for database \"fs\"\nDETAIL:  User does not have CONNECT privilege.",
        Some("fs")
    )]
    #[case(Phrase::DatabaseUnknown, "FATAL:  database \"fs\n\" does not exist", Some("fs"))]
    #[case(Phrase::RoleUnknown, "FATAL:  role \"a\nb\" does not exist", None)]
    #[case(Phrase::DatabaseUnknown, "FATAL:  role \"fs\" does not exist", None)]
    #[case(
        Phrase::RoleUnknown,
        "FATAL:  role \"ééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé\" does not exist",
        Some("ééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé")
    )]
    fn finds(#[case] phrase: Phrase, #[case] message: &str, #[case] name: Option<&str>) {
        assert_eq!(find(phrase, message), name);
    }

    /// All phrases, one after the other: a new one does not compile until it has a successor.
    fn successor(phrase: Phrase) -> Option<Phrase> {
        Some(match phrase {
            Phrase::PasswordFailed => Phrase::RoleUnknown,
            Phrase::RoleUnknown => Phrase::LoginDenied,
            Phrase::LoginDenied => Phrase::DatabaseUnknown,
            Phrase::DatabaseUnknown => Phrase::ConnectDenied,
            Phrase::ConnectDenied => Phrase::DatabaseClosed,
            Phrase::DatabaseClosed => Phrase::TooManyClients,
            Phrase::TooManyClients => Phrase::SlotsReserved,
            Phrase::SlotsReserved => Phrase::TooManyForRole,
            Phrase::TooManyForRole => Phrase::TooManyForDatabase,
            Phrase::TooManyForDatabase => Phrase::StartingUp,
            Phrase::StartingUp => Phrase::ShuttingDown,
            Phrase::ShuttingDown => Phrase::NotYetAccepting,
            Phrase::NotYetAccepting => Phrase::InRecovery,
            Phrase::InRecovery => Phrase::AdminTerminated,
            Phrase::AdminTerminated => Phrase::ReplicaConflict,
            Phrase::ReplicaConflict => Phrase::ReplicaLockConflict,
            Phrase::ReplicaLockConflict => return None,
        })
    }

    #[test]
    fn every_phrase_has_wordings() {
        let phrases: Vec<Phrase> =
            std::iter::successors(Some(Phrase::PasswordFailed), |last| successor(*last)).collect();
        assert_eq!(phrases.len(), WORDINGS.len());
        for phrase in phrases {
            let mut entries = WORDINGS.iter().filter(|(of, _)| *of == phrase);
            let (_, wordings) = entries.next().unwrap();
            assert!(wordings.len() > 8, "{phrase:?}");
            assert!(entries.next().is_none(), "{phrase:?} stands twice");
        }
    }
}
