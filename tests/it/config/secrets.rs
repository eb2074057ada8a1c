//! Where passwords come from and who may read them.

use std::process::Command;

use secrecy::ExposeSecret as _;

use super::{A, CANARY, Set};

#[test]
fn a_secret_has_one_source_and_one_reader() {
    let at = |line: &str| vec![format!("{A}: accounts[0].{line}")];
    let file = "password_file = \"../secrets/madrid.password\"";
    let replaced = |by: &str| Set::new().change(A, file, by).problems();
    assert_eq!(
        replaced(""),
        at(
            "password_file: is required: name a file of mode 0600 that holds the API password (or use password_env, or a credential <account id>.password)"
        )
    );
    assert_eq!(
        replaced(&format!("{file}\npassword = \"hunter2-inline\"")),
        at(
            "password: a secret is never written here: put it in a file of mode 0600 and name that file in password_file"
        )
    );
    assert_eq!(
        replaced("password_file = [\"hunter2\"]"),
        at("password_file: must be a text in quotes, not a list")
    );
    assert_eq!(
        replaced("password_file = \"hunter2-path\""),
        at(
            "password_file: cannot be read (no such file): name a file that the service's user can read; relative paths start at the folder of this file"
        )
    );
    assert_eq!(
        replaced("password_file = \"../secrets\""),
        at("password_file: is not a regular file: name a file that holds the secret alone")
    );
    assert_eq!(
        replaced("password_env = \"NO_SUCH\""),
        at("password_env: names a variable that is not set: set it, or use password_file")
    );
    assert_eq!(
        replaced(&format!("{file}\npassword_env = \"X\"")),
        at(
            "password_file: the password has several sources: keep one of password_file, password_env and the credential in $CREDENTIALS_DIRECTORY"
        )
    );
    for mode in [0o640, 0o604, 0o620, 0o666] {
        let set = Set::new();
        set.mode("secrets/madrid.password", mode);
        let path = set.path("administrations/../secrets/madrid.password");
        assert_eq!(
            set.problems(),
            at(&format!(
                "password_file: can be read or changed by others (mode {mode:04o}): chmod 600 {}",
                path.display()
            ))
        );
    }
}

#[test]
fn a_password_is_one_line_of_eight_characters_or_more() {
    let at = |line: &str| vec![format!("{A}: accounts[0].password_file: {line}")];
    let with = |secret: &str| {
        let set = Set::new();
        set.write_secret("secrets/madrid.password", secret);
        set
    };
    assert_eq!(
        with("").problems(),
        at("the password is empty: write the API password of the account there")
    );
    assert_eq!(
        with("\n").problems(),
        at("the password is empty: write the API password of the account there")
    );
    assert_eq!(
        with("1234567\n").problems(),
        at(
            "the password is shorter than the 8 characters that the platform asks for: set a longer one there and here"
        )
    );
    assert_eq!(
        with("hunter2-first\nhunter2-second\n").problems(),
        at("the password holds a line break or control character: write one line")
    );
    assert_eq!(
        with(&"x".repeat(4097)).problems(),
        at("is longer than 4096 bytes: the file must hold the secret alone")
    );
    assert_eq!(with("contraseña\n").problems(), [""; 0]);
    assert_eq!(
        with("contraseña\n").warnings(),
        at("the password has fewer than 12 characters: set a longer one")
    );
    let not_text = Set::new();
    not_text.write("secrets/madrid.password", b"\xff\xfe1234567890");
    assert_eq!(
        not_text.problems(),
        at("is not UTF-8 text: the file must hold the secret alone")
    );
    let settings = with("hunter2-canary\r\n").settings();
    assert_eq!(
        settings.administrations[0].accounts[0]
            .password
            .expose_secret(),
        CANARY
    );
}

#[test]
fn a_password_may_come_from_a_variable_or_a_credential() {
    let file = "password_file = \"../secrets/madrid.password\"";
    let variable = Set::new()
        .change(A, file, "password_env = \"MADRID_PASSWORD\"")
        .variable("MADRID_PASSWORD", "hunter2-from-variable");
    let password = |set: &Set| {
        let settings = set.settings();
        settings.administrations[0].accounts[0]
            .password
            .expose_secret()
            .to_owned()
    };
    assert_eq!(password(&variable), "hunter2-from-variable");
    let credential = Set::new().change(A, file, "");
    credential.write("credentials/madrid.password", "hunter2-from-credential");
    // As systemd shows a credential with an access list.
    credential.mode("credentials/madrid.password", 0o440);
    let directory = credential.path("credentials").display().to_string();
    let credential = credential.variable("CREDENTIALS_DIRECTORY", &directory);
    assert_eq!(password(&credential), "hunter2-from-credential");
    credential.mode("credentials/madrid.password", 0o444);
    assert_eq!(
        credential.problems(),
        [format!("{A}: accounts[0].$CREDENTIALS_DIRECTORY: can be read or changed by others (mode 0444): chmod 600 {directory}/madrid.password").replace("$CREDENTIALS_DIRECTORY:", "\"$CREDENTIALS_DIRECTORY\":")]
    );
}

#[test]
fn a_pipe_in_place_of_a_file_does_not_hang() {
    let set = Set::new();
    let made = Command::new("mkfifo")
        .arg(set.path("secrets/pipe"))
        .status();
    assert!(
        made.is_ok_and(|status| status.success()),
        "coreutils has mkfifo"
    );
    let set = set.change(A, "madrid.password", "pipe");
    assert_eq!(
        set.problems(),
        [format!(
            "{A}: accounts[0].password_file: is not a regular file: name a file that holds the secret alone"
        )]
    );
}
