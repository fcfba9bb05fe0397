console.log('Nicolas <nicolas@example.com>');
