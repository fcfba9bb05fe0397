fn main() {
    println!("Nicolas <nicolas@example.com>");
}
