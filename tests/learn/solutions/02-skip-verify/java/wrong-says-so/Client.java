public final class Client {
  public static void main(String[] args) {
    System.out.println("Nicolas <nicolas@example.com>");
  }
}
